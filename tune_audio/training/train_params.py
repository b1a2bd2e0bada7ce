"""How a model is trained: names, types and defaults, known without importing torch."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import AfterValidator

from tune_audio.errors import UserError


def _known_augmentations(augment: str) -> str:
    # Imported here: augment.py needs torch, and a space whose augmentation is left alone does not.
    from tune_audio.features.augment import check_names

    try:
        check_names(augment)
    except UserError as error:
        raise ValueError(error.message.removeprefix("augment: ")) from None
    return augment


@dataclass(frozen=True, kw_only=True)
class TrainParams:
    """The training hyperparameters; a search space may fix or tune each of them.

    `lr` is the peak learning rate. It rises linearly from 0 over the first `warmup_epochs`
    (fractions of an epoch count), then stays (`schedule="constant"`) or falls to 0 along half a
    cosine at the last epoch (Loshchilov and Hutter 2017, SGDR, without restarts).
    `augment` is "none" or names of AUGMENTATIONS joined by "+", applied in that order to train
    clips only. `views` is how many random draws of the augmentation there are: epoch e sees
    view e mod `views`; None is a new one every epoch, which is ordinary training.
    `momentum` is read by sgd; `label_smoothing` is Szegedy et al. 2016's epsilon.
    `loss` is a name of `losses.LOSSES`; bce and bce_weighted are for several labels a clip, too.

    `mixup_alpha` > 0 mixes each batch with itself in another order, at a share drawn from
    Beta(alpha, alpha) (Zhang et al. 2018, arXiv:1710.09412): the features that the trained stages
    are given, and the targets. `balanced_sampling` draws each epoch's clips with replacement, one
    of a rare label more often (Gong et al. 2021, PSLA, arXiv:2102.01243); a clip that is drawn
    several times in an epoch is augmented the same way each time.
    `backbone_lr` is the peak rate of what is trained before the head; None is `lr` there, too.

    The annotations are what `tune_audio.space` checks values against; constructing one here
    checks nothing.
    """

    lr: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 32
    augment: Annotated[str, AfterValidator(_known_augmentations)] = "none"
    optimizer: Literal["adam", "adamw", "adamax", "sgd", "rmsprop"] = "adam"
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    weight_decay: Annotated[float, Ge(0)] = 0.0
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
    loss: Literal["cross_entropy", "mse", "bce", "bce_weighted"] = "cross_entropy"
    warmup_epochs: Annotated[float, Ge(0)] = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    views: Annotated[int, Ge(1)] | None = None
    mixup_alpha: Annotated[float, Ge(0)] = 0.0
    balanced_sampling: bool = False
    backbone_lr: Annotated[float, Gt(0)] | None = None
    seed: Annotated[int, Ge(0)] = 0
