"""Names of the official files of HumanML3D and KIT-ML."""

MOTIONS, TEXTS = "new_joint_vecs", "texts"
LISTS = ("train.txt", "val.txt", "test.txt")
STATISTICS = ("Mean.npy", "Std.npy")
