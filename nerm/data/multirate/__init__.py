"""The dataset `multirate`: CMU (120 and 60 fps), HDM05 (120) and Bandai-Namco (30) at their native rates on one skeleton, with sentences.

From packaged archives (`packaged`), or from the files of the original homes (`originals`), which makes `multirate-original`.
"""

from nerm.data.dataset import DatasetEntry

_LICENCE = "CMU: free, not to be resold; HDM05: CC BY-SA 3.0; Bandai-Namco: CC BY-NC 4.0"

ENTRIES = (
    DatasetEntry(
        "multirate",
        "CMU, HDM05 and Bandai-Namco at 120, 60 and 30 fps, from packaged archives",
        opens="nerm.data.multirate.opening:open_multirate",
        prepares="nerm.data.multirate.preparing:MULTIRATE",
        sentences="nerm.data.multirate.opening:sentences",
        labels="nerm.data.multirate.labels:labels",
        classes="nerm.data.multirate.classes:classes",
        licence=_LICENCE,
    ),
    DatasetEntry(
        "multirate-original",
        "the same recordings, from the files of their original homes",
        opens="nerm.data.multirate.opening:open_original",
        prepares="nerm.data.multirate.preparing:ORIGINAL",
        sentences="nerm.data.multirate.opening:sentences",
        classes="nerm.data.multirate.classes:classes",
        licence=_LICENCE,
    ),
)
