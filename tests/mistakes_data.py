"""Mistakes with data of a user's own; the numbers are those of `tests.mistakes`."""

from tests.mutants import made

SCREEN = "bench/judge/screen.py"
BATCHES = "bench/data/batches.py"
FITTING = "bench/sweeps/fitting.py"
CALLBACKS = "bench/api/callbacks.py"
PICTURES = "bench/pages/figures/pictures.py"
SUITE = "bench/suites/suite.py"

IN_SCREEN = ("tests/judge/test_screen.py",)
IN_OWN = ("tests/cli/test_own_data.py",)
IN_ATTACHED = ("tests/api/test_attached.py",)
IN_FIGURES = ("tests/pages/test_figures.py",)
IN_SUITE = ("tests/suites/test_suite.py",)

# fmt: off
OF_DATA = [
    *made(SCREEN, IN_SCREEN, [
        (26, "shown_as_modelled", "standardised images are clamped to [0, 1]",
         "(self.scaling.undo(x) - self.black)", "(x - self.black)"),
        (26, "ends_as_modelled", "black and white are those of standardised values",
         "for values in (data.scaling.undo(x) for x, _ in", "for values in (x for x, _ in"),
        (26, "largest_value_is_the_range", "white is not taken from black",
         "/ (self.white - self.black)", "/ self.white"),
        (26, "grey_by_its_own_range", "a dim picture in [0, 1] looks bright",
         'if data.spec.kind in ("binary", "unit", "levels") or', "if"),
    ]),
    *made(BATCHES, IN_SCREEN, [
        (26, "probabilities_called_densities", "levels and counts have no unit",
         'self.spec.kind in ("binary", "levels", "counts")', 'self.spec.kind in ("binary",)'),
        (26, "noise_called_none", "a density of noisy levels is told as one of levels over white",
         'if self.binarise == "dequantise":', "if False:"),
    ]),
    *made(FITTING, IN_OWN, [
        (26, "nobody_is_left_out", "convolutions fail on vectors one by one",
         "if reason and _refusal(variant.name, {}, spec):", "if False:"),
    ]),
    *made(CALLBACKS, IN_ATTACHED, [
        (26, "white_pictures", "grey levels to 255 are clipped at 1",
         "model.scaling.apply(images)", "images"),
    ]),
    *made(PICTURES, IN_FIGURES, [
        (26, "two_channels_as_three", "channels that there are not",
         "shown = 1 if channels < 3 else 3", "shown = 1 if channels < 2 else 3"),
    ]),
    *made(SUITE, IN_SUITE, [
        (26, "a_list_cut_at_its_commas", "hidden=[8, 4] is two settings",
         r'r",(?=\s*[A-Za-z_]\w*\s*=)"', 'r","'),
    ]),
]
# fmt: on
