"""Loss functions."""

from mafs_training.losses.consistency import confidence_weight, consistency_loss
from mafs_training.losses.deep_supervision import deep_supervision_loss
from mafs_training.losses.dice import dice_loss
from mafs_training.losses.fusion import fusion_loss, FusionOptions
from mafs_training.losses.lovasz import lovasz_softmax
from mafs_training.losses.ohem import ohem_cross_entropy
from mafs_training.losses.reconstruction import psnr, reconstruction_loss
from mafs_training.losses.standing_out import detail_loss, object_loss

__all__ = [
    'FusionOptions',
    'confidence_weight',
    'consistency_loss',
    'deep_supervision_loss',
    'detail_loss',
    'dice_loss',
    'fusion_loss',
    'lovasz_softmax',
    'object_loss',
    'ohem_cross_entropy',
    'psnr',
    'reconstruction_loss',
]
