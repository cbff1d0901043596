"""
Where pairs of images come from: what people give, recognised and read one pair at a time.

``given`` says what a word of the command line is, ``pair_names`` which files belong together,
``stills``, ``sequences`` and ``live`` read them, ``plausibility`` refuses what cannot be meant,
and ``opening`` makes one :class:`~mafs_model.sources.items.PairSource` of it all.
"""
