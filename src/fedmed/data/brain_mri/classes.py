"""The four classes of brain MR images, as lists name them, in the order of the network's outputs."""

CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
