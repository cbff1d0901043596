"""The network: architecture, encoder, fusion, decoders and the layers they share."""
