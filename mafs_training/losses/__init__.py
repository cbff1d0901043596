"""Loss functions; each exists as a function and as a thin module that only stores arguments."""

from mafs_training.losses.consistency import confidence_weight, consistency_loss, ConsistencyLoss
from mafs_training.losses.deep_supervision import deep_supervision_loss, DeepSupervisionLoss
from mafs_training.losses.dice import dice_loss, DiceLoss
from mafs_training.losses.fusion import (
    fusion_loss,
    FusionLoss,
    gradient_loss,
    intensity_loss,
    sobel,
    structure_loss,
)
from mafs_training.losses.lovasz import lovasz_softmax, LovaszSoftmax
from mafs_training.losses.ohem import ohem_cross_entropy, OhemCrossEntropy
from mafs_training.losses.reconstruction import psnr, reconstruction_loss, ReconstructionLoss
from mafs_training.losses.ssim import ssim_loss, ssim_map

__all__ = [
    'ConsistencyLoss',
    'DeepSupervisionLoss',
    'DiceLoss',
    'FusionLoss',
    'LovaszSoftmax',
    'OhemCrossEntropy',
    'ReconstructionLoss',
    'confidence_weight',
    'consistency_loss',
    'deep_supervision_loss',
    'dice_loss',
    'fusion_loss',
    'gradient_loss',
    'intensity_loss',
    'lovasz_softmax',
    'ohem_cross_entropy',
    'psnr',
    'reconstruction_loss',
    'sobel',
    'ssim_loss',
    'ssim_map',
    'structure_loss',
]
