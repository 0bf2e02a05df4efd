"""What a motion is, whatever its rate. Nothing here knows a corpus or a model."""

from nerm.motion.motion import Motion
from nerm.motion.resample import frame_count, frame_times, resample
from nerm.motion.skeleton import SMPL22, Skeleton

__all__ = ["SMPL22", "Motion", "Skeleton", "frame_count", "frame_times", "resample"]
