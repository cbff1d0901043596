"""
Where results go: a folder, one picture, or a film, told apart by the name of ``--out``.

Every file is written beside its place and renamed, so that none is ever seen half written, and
never through a link that lies in the output folder.
"""
