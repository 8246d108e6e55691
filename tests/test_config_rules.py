"""Values of free choices that would do something else than they say."""

import pytest

from configs import srgan
from jsr.config_rules import check_config
from jsr.errors import UserError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator.initializer": "lecun"}, "generator.initializer 'lecun' is unknown; known: he"),
        ({"discriminator.initializer": "no"}, "discriminator.initializer 'no' is unknown"),
        ({"gan.label_smoothing": 0.5}, r"label_smoothing is 0\.5: expected 0 to below 0\.5"),
        (
            {"gan.label_smoothing": 0.1, "gan.adversarial": "hinge"},
            r"hinge has no labels to smooth: expected gan\.adversarial minimax or vanilla",
        ),
        ({"data.mixup": 1.5}, r"data\.mixup is 1\.5: expected a share, 0 to 1"),
        (
            {"data.cutblur": 0.5},
            r"cutblur is 0\.5: .* one of srresnet, msrresnet, edsr with generator\.hparams",
        ),
        (
            {"data.permute": 0.5, "channels": "y", "protocol": "classic", "stages": ("pixel",)},
            r"data\.permute is of colours, and channels is 'y'",
        ),
        ({"collapse_evals": 0}, "collapse_evals is 0: expected at least 1"),
        ({"perceptual.divisor": 0.0}, r"perceptual\.divisor is 0\.0: expected more than 0"),
    ],
)
def test_choices_that_cannot_be_are_told(changes, message):
    config = srgan.get_config()
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=message):
        check_config(config)


def test_choices_that_can_be_are_taken():
    config = srgan.get_config()
    config.generator.hparams.desubpixel = True
    config.update_from_flattened_dict(
        {
            "data.cutblur": 0.5,
            "data.mixup": 1.0,
            "data.permute": 1.0,
            "gan.label_smoothing": 0.1,
            "generator.initializer": "orthogonal",
        }
    )
    check_config(config)
