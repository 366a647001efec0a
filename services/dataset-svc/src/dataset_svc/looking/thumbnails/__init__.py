"""Small pictures of images, made in a process of their own: what strangers sent is decoded nowhere else."""

from dataset_svc.looking.thumbnails.makers import Makers, NoThumbnail
from dataset_svc.looking.thumbnails.order import KIND, MakerLimits, Order

__all__ = ["KIND", "MakerLimits", "Makers", "NoThumbnail", "Order"]
