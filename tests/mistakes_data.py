"""Mistakes with data sets, with data of a user's own, and in the Python interface; the numbers are those of
`tests.mistakes`."""

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
    *made("bench/data/binarise.py", ("tests/data/test_batches.py",), [
        (10, "noise_of_levels_from_anywhere", "dequantised batches differ between two runs of one seed",
         "u = torch.rand(images.shape, generator=noise, device=images.device)",
         "u = torch.rand(images.shape, device=images.device)"),
    ]),
    *made("bench/data/flow.py", ("tests/data/test_flow_data.py",), [
        (21, "noise_of_a_flow_by_its_deviation", "the option noise is a variance",
         "1.0, math.sqrt(noise))", "1.0, noise)"),
    ]),
    *made("bench/data/gaussian.py", ("tests/data/test_linear_gaussian.py",), [
        (21, "orthogonal_columns_of_length_one", "orthogonal data are nearly all noise",
         "np.linalg.qr(W).Q * np.linalg.norm(W, axis=0)", "np.linalg.qr(W).Q"),
    ]),
    *made("bench/data/counts.py", ("tests/data/test_countable_data.py",), [
        (21, "counts_of_another_dispersion", "examples vary less than their density says",
         "examples.gamma(dispersion, 1 / dispersion,", "examples.gamma(2 * dispersion, 0.5 / dispersion,"),
    ]),
    *made("bench/data/teacher.py", ("tests/data/test_factors.py",), [
        (21, "grid_of_the_teacher_too_short", "the integral leaves out a thousandth of the prior",
         "step * torch.arange(-math.ceil(6.5 / step), math.ceil(6.5 / step) + 1,",
         "step * torch.arange(-math.ceil(3.5 / step), math.ceil(3.5 / step) + 1,"),
    ]),
    *made("bench/data/plane.py", ("tests/data/test_factors.py",), [
        (21, "moons_by_the_parity_of_their_part", "labels say nothing of the curve that a point is on",
         "for split in raw.images]) // size", "for split in raw.images]) % 2"),
    ]),
    *made("bench/data/files.py", ("tests/data/test_files.py",), [
        (25, "download_beside_its_place", "a file comes, and is looked for elsewhere",
         "utils.download_url(url, str(path.parent), path.name)", "utils.download_url(url, str(path), path.name)"),
    ]),
    *made("bench/data/readers.py", ("tests/data/test_files.py",), [
        (10, "omniglot_unchecked", "another archive than the published one is read",
         "        check_md5(folder / file.name, file)\n        with zipfile", "        with zipfile"),
        (10, "archive_shared_by_forks", "two workers move one position in a file",
         "if self._open is None or self._open[0] != os.getpid():", "if self._open is None:"),
        (10, "splits_of_any_size", "a partition that lacks examples is taken for the published one",
         "if sizes != dict(SETS[name].splits):", "if not sizes:"),
    ]),
    *made("bench/data/readers.py", ("tests/data/test_sets.py",), [
        (10, "photographs_cut_elsewhere", "old results are on other crops of the same name",
         "np.random.RandomState(0)", "np.random.RandomState(1)"),
    ]),
    *made("bench/data/sets.py", ("tests/data/test_sets.py",), [
        (10, "kmnist_kept_grey", "a set is binarised otherwise than its table says",
         "binarise=\"dynamic\",\n        source=\"download\",\n        licence=\"CC BY-SA 4.0",
         "binarise=\"none\",\n        source=\"download\",\n        licence=\"CC BY-SA 4.0"),
    ]),
    *made("bench/data/generated.py", ("tests/data/test_sets.py",), [
        (26, "network_of_no_bits", "latents that are none are drawn",
         'if not 1 <= options["bits"] <= MOST_BITS', 'if not options["bits"] <= MOST_BITS'),
    ]),
    *made("bench/data/__init__.py", ("tests/data/test_sets.py",), [
        (27, "classes_of_a_mixture_by_default", "an objective that uses labels has more classes than there are",
         'options.get("classes", find(name).class_count)', "find(name).class_count"),
    ]),
    *made("bench/data/users.py", ("tests/data/test_given.py",), [
        (12, "validation_data_not_taken", "a tenth of train is held out though a split is given",
         "        valid=valid,\n", ""),
        (26, "endings_in_small_letters_alone", "a file called MINE.CSV is an unknown data set",
         "if name.lower().endswith(ENDINGS)", "if name.endswith(ENDINGS)"),
    ]),
    *made("bench/data/given/__init__.py", ("tests/data/test_given.py",), [
        (27, "checksum_without_labels", "other labels of the same images are read from the file of the first",
         "        digest.update(labels[split].tobytes())\n", ""),
        (27, "labels_of_another_table_dropped", "a test split that has classes is said to have none",
         "        if \"train\" in more.labels:\n            source.labels[split] = more.labels[\"train\"]\n", ""),
    ]),
    *made("bench/data/given/kinds.py", ("tests/data/test_given.py",), [
        (26, "signs_taken_for_pictures", "whole numbers from -1 to 1 are halved",
         "0.9 < seen.high <= 1 and not seen.whole", "0.9 < seen.high <= 1"),
        (26, "missing_value_at_another_place", "who looks for it finds a number",
         "map(str, [row, *place])", "map(str, [row, *place[::-1]])"),
        (26, "gaps_of_train_alone", "a test split with missing values has no figure, and nobody says why",
         '        if array.dtype.kind != "f":', '        if array.dtype.kind != "f" or split != "train":'),
    ]),
    *made("bench/data/given/splits.py", ("tests/data/test_given.py",), [
        (12, "held_out_by_another_permutation", "old results are on other splits of the same data",
         "SEED = 20_010", "SEED = 20_020"),
    ]),
    *made("bench/data/given/store.py", ("tests/data/test_given.py",), [
        (13, "written_in_its_place", "a file that was cut off is read as data by its name",
         "    part = target.with_name(f\".partial-{name}-{os.getpid()}\")\n", "    part = target\n"),
    ]),
    *made("bench/data/given/pictures.py", ("tests/data/test_given.py",), [
        (10, "colour_by_the_last_picture", "colours of all pictures are lost for one that is grey",
         "grey = grey and picture.mode in _GREY", "grey = picture.mode in _GREY"),
        (10, "every_other_pixel_of_a_picture", "fine texture becomes another one",
         "Image.Resampling.BILINEAR", "Image.Resampling.NEAREST"),
        (12, "capital_folders_are_classes", "Train and Test are two classes",
         "{_SPLITS[path.name.lower()]: path for path in below if path.name.lower() in _SPLITS}",
         "{_SPLITS[path.name]: path for path in below if path.name in _SPLITS}"),
    ]),
    *made("bench/data/given/tables.py", ("tests/data/test_given.py",), [
        (26, "dropped_column_unknown", "a column that is misspelt ends in a traceback",
         ', *(("drop", each) for each in drop)]', "]"),
    ]),
    *made("bench/api/about.py", ("tests/api/test_python.py",), [
        (13, "judged_wakes_what_was_frozen", "a part that was in evaluation mode is trained on",
         "            module.training = mode", "            module.training = training[0][1]"),
    ]),
    *made("bench/api/building.py", ("tests/api/test_python.py",), [
        (4, "model_built_in_training_mode", "dropout is drawn when a user asks",
         "vae.to(devices.resolve(device)).eval()", "vae.to(devices.resolve(device)).train()"),
    ]),
    *made("bench/api/training.py", ("tests/api/test_python.py",), [
        (2, "row_of_the_curve_itself", "a callback that changes its row changes the curve",
         "callback(len(curve), dict(curve[-1]), self.model)", "callback(len(curve), curve[-1], self.model)"),
        (13, "tf32_left_off", "other programs of the process are slower after a training",
         "        torch.backends.cudnn.allow_tf32 = before\n        told", "        told"),
        (10, "kinds_mixed", "a model of grey values is judged on zeros and ones",
         "        (\"kind\", data.spec.kind, model.spec.kind),\n", ""),
    ]),
    *made("bench/api/model.py", ("tests/api/test_python.py",), [
        (26, "zeros_and_ones_over_255", "masks of bytes are black",
         'self.spec.kind != "counts" and given.max() > 1:', 'self.spec.kind != "counts":'),
        (17, "line_between_codes", "examples between two that no latent stands for",
         "            if is_discrete(self.vae.prior()):", "            if False:"),
        (25, "walk_of_any_span", "the span that is asked for is not heeded",
         "torch.linspace(-span, span, steps", "torch.linspace(-3.0, 3.0, steps"),
    ]),
    *made("bench/api/sweep.py", ("tests/api/test_python.py",), [
        (13, "jobs_not_heeded", "runs side by side are as many as there are cores",
         "jobs=jobs, again=again)", "again=again)"),
    ]),
    *made("bench/api/saved.py", ("tests/api/test_saved.py",), [
        (13, "weights_of_changed_data", "a model is given the scaling of data that it was not trained on",
         "if record.provenance.data_sha256 not in (None, loaded.checksum):", "if False:"),
        (13, "fewer_answers_in_a_traceback", "a file that was cut is no line",
         "len(answers) == len(config.answers) and all(", "all("),
    ]),
    *made("bench/api/written.py", ("tests/api/test_saved.py",), [
        (25, "card_without_the_licence_of_the_data", "what weights may be used for is not said",
         'return f"{LICENCE}{known}"', "return LICENCE"),
    ]),
    *made("bench/api/callbacks.py", ("tests/api/test_attached.py",), [
        (25, "experiment_not_heeded", "figures go to another experiment",
         "            self.mlflow.set_experiment(experiment)", "            pass"),
    ]),
    *made("bench/api/estimator.py", ("tests/api/test_attached.py",), [
        (11, "transformer_from_the_caller_s_stream", "to fit changes the caller's random numbers",
         "        with torch.random.fork_rng(devices=[]):\n            torch.default",
         "        if True:\n            torch.default"),
    ]),
]
# fmt: on
