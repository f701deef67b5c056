"""What a paper calls the built-in variants, and BibTeX entries of their sources.

A source is what a recipe names in `paper=`: authors, year, identifier; several are separated by semicolons. A variant
that has no line here is called by its name, and a source without a title by its identifier.
"""

import re
from collections.abc import Iterable

# Names that are not the registered one with a capital letter and spaces.
NAMES = {
    "vanilla": "VAE",
    "autoencoder": "Autoencoder",
    "batch_norm_posterior": "BN-VAE",
    "bernoulli_disarm": "Bernoulli latents (DisARM)",
    "bernoulli_vimco": "Bernoulli latents (VIMCO)",
    "beta": "β-VAE",
    "beta_tc": "β-TCVAE",
    "capacity": "β-VAE with capacity",
    "combination_iwae": "CIWAE",
    "concrete": "Concrete latents",
    "conv": "Conv",
    "conv_full_covariance": "Conv + full covariance",
    "cyclical": "Cyclical annealing",
    "delta": "δ-VAE",
    "dip_i": "DIP-VAE-I",
    "dip_ii": "DIP-VAE-II",
    "geco": "GECO",
    "gumbel_softmax": "Gumbel-softmax latents",
    "hierarchical": "Two layers",
    "hierarchical_top_down": "Two layers, top-down",
    "hierarchical_vamp": "Two layers + VampPrior",
    "info_vae": "InfoVAE",
    "inverse_autoregressive_flow": "IAF",
    "iwae": "IWAE",
    "iwae_dreg": "IWAE (DReG)",
    "joint": "JointVAE",
    "linear": "Linear VAE",
    "low_rank": "Low-rank covariance",
    "multiply_iwae": "MIWAE",
    "partial_iwae": "PIWAE",
    "renyi": "Rényi bound",
    "reweighted_wake_sleep": "RWS",
    "sigma_vae": "\N{GREEK SMALL LETTER SIGMA}-VAE",
    "rae_gp": "RAE-GP",
    "rae_l2": "RAE-L2",
    "residual_vq": "Residual VQ",
    "skip": "Skip-VAE",
    "sliced_wasserstein": "SWAE",
    "sq_vae": "SQ-VAE",
    "student_t": "Student's t",
    "thermodynamic": "TVO",
    "two_stage": "Two-stage VAE",
    "vae_gan": "VAE-GAN",
    "vamp_prior": "VampPrior",
    "vq_ema": "VQ-VAE (EMA)",
    "vr_max": "VR-max",
    "wae_gan": "WAE-GAN",
    "wae_mmd": "WAE-MMD",
}

TITLES = {
    "Science 313:504": "Reducing the Dimensionality of Data with Neural Networks",
    "JRSS B 61:611": "Probabilistic Principal Component Analysis",
    "ICLR (beta-VAE)": "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework",
    "10.24963/ijcai.2018/374": "Student-t Variational Autoencoder for Robust Density Estimation",
    "1312.6114": "Auto-Encoding Variational Bayes",
    "1401.4082": "Stochastic Backpropagation and Approximate Inference in Deep Generative Models",
    "1406.2751": "Reweighted Wake-Sleep",
    "1410.6460": "Markov Chain Monte Carlo and Variational Inference: Bridging the Gap",
    "1505.05770": "Variational Inference with Normalizing Flows",
    "1509.00519": "Importance Weighted Autoencoders",
    "1511.06406": "Denoising Criterion for Variational Auto-Encoding Framework",
    "1602.02311": "Rényi Divergence Variational Inference",
    "1602.06725": "Variational Inference for Monte Carlo Objectives",
    "1605.08803": "Density Estimation Using Real NVP",
    "1606.04934": "Improving Variational Inference with Inverse Autoregressive Flow",
    "1611.00712": "The Concrete Distribution: A Continuous Relaxation of Discrete Random Variables",
    "1611.01144": "Categorical Reparameterization with Gumbel-Softmax",
    "1611.02731": "Variational Lossy Autoencoder",
    "1611.09630": "Improving Variational Auto-Encoders Using Householder Flow",
    "1612.08083": "Language Modeling with Gated Convolutional Networks",
    "1703.09194": "Sticking the Landing: Simple, Lower-Variance Gradient Estimators for Variational Inference",
    "1705.07120": "VAE with a VampPrior",
    "1706.02262": "InfoVAE: Information Maximizing Variational Autoencoders",
    "1711.00848": "Variational Inference of Disentangled Latent Concepts from Unlabeled Observations",
    "1802.04537": "Tighter Variational Bounds Are Not Necessarily Better",
    "1802.04942": "Isolating Sources of Disentanglement in Variational Autoencoders",
    "1803.05649": "Sylvester Normalizing Flows for Variational Inference",
    "1804.00104": "Learning Disentangled Joint Continuous and Discrete Representations",
    "1804.03599": "Understanding Disentangling in beta-VAE",
    "1805.10469": "Revisiting Reweighted Wake-Sleep for Models with Stochastic Control Flow",
    "1807.04863": "Avoiding Latent Variable Collapse with Generative Skip Models",
    "1810.00597": "Taming VAEs",
    "1810.04152": "Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives",
    "1901.03416": "Preventing Posterior Collapse with delta-VAEs",
    "1903.05789": "Diagnosing and Enhancing VAE Models",
    "1903.10145": "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing",
    "1906.02691": "An Introduction to Variational Autoencoders",
    "1906.04032": "Neural Spline Flows",
    "1907.00031": "The Thermodynamic Variational Objective",
    "1911.02469": "Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse",
    "2004.12585": "A Batch Normalized Inference Network Keeps the KL Vanishing Away",
    "2006.10680": "DisARM: An Antithetic Gradient Estimator for Binary Latent Variables",
    "2006.13202": "Simple and Effective VAE Training with Calibrated Decoders",
    "1511.05644": "Adversarial Autoencoders",
    "1512.09300": "Autoencoding beyond Pixels Using a Learned Similarity Metric",
    "1601.06759": "Pixel Recurrent Neural Networks",
    "1602.02282": "Ladder Variational Autoencoders",
    "1701.05517": (
        "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other Modifications"
    ),
    "1711.00937": "Neural Discrete Representation Learning",
    "1711.01558": "Wasserstein Auto-Encoders",
    "1802.02550": "Semi-Amortized Variational Autoencoders",
    "1802.05983": "Disentangling by Factorising",
    "1804.00891": "Hyperspherical Variational Auto-Encoders",
    "1804.01947": "Sliced-Wasserstein Autoencoder: An Embarrassingly Simple Generative Model",
    "1805.11328": "Hamiltonian Variational Auto-Encoder",
    "1807.09356": "Iterative Amortized Inference",
    "1901.05534": "Lagging Inference Networks and Posterior Collapse in Variational Autoencoders",
    "1901.06033": "Continuous Hierarchical Representations with Poincaré Variational Auto-Encoders",
    "1903.12436": "From Variational to Deterministic Autoencoders",
    "2007.03898": "NVAE: A Deep Hierarchical Variational Autoencoder",
    "2011.10650": "Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images",
    "2107.03312": "SoundStream: An End-to-End Neural Audio Codec",
    "2205.07547": "SQ-VAE: Variational Bayes on Discrete Representation with Self-annealed Stochastic Quantization",
    "2309.15505": "Finite Scalar Quantization: VQ-VAE Made Simple",
    "2310.05737": "Language Model Beats Diffusion -- Tokenizer is Key to Visual Generation",
    "Nature Methods 15:1053 (scVI)": "Deep Generative Modeling for Single-Cell Transcriptomics",
}


def display_name(variant: str) -> str:
    """`"Conv + full covariance"` for `"conv_full_covariance"`."""
    words = variant.replace("_", " ")
    return NAMES.get(variant, words[:1].upper() + words[1:])


def keys(paper: str) -> list[str]:
    """The BibTeX keys of what a recipe names in `paper=`: `["burda2016importance"]`. What has no year has no key."""
    return [key for source in paper.split(";") if (key := _key(source))]


def bibtex(papers: Iterable[str]) -> str:
    """The entries of all sources that recipes name, by key, each once."""
    sources = {key: source for paper in papers for source in paper.split(";") if (key := _key(source))}
    return "\n\n".join(_entry(key, source) for key, source in sorted(sources.items())) + "\n"


def _parts(source: str) -> tuple[str, str, str] | None:
    """Authors, year, and where it is to be found."""
    match = re.fullmatch(r"\s*(.+?) (\d{4})\b,?\s*(.*?)\s*", source)
    return (match[1], match[2], match[3]) if match else None


def _identifier(where: str) -> str:
    """`"1509.00519"` of an arXiv preprint, the DOI where there is one, else the words themselves."""
    match = re.search(r"arXiv:(\d{4}\.\d{4,5})|doi:(\S+)", where)
    return (match[1] or match[2]) if match else where


def _key(source: str) -> str:
    if (parts := _parts(source)) is None:
        return ""
    authors, year, where = parts
    first = re.split(r" et al\.?| and |, ", authors)[0].split()[-1]
    words = re.findall(r"\w+", TITLES.get(_identifier(where), ""))
    word = next((word for word in words if len(word) > 3), _identifier(where))
    return re.sub(r"[^a-z0-9]", "", f"{first}{year}{word}".lower())


def _entry(key: str, source: str) -> str:
    parts = _parts(source)
    assert parts is not None, "a source without a year has no key"
    authors, year, where = parts
    identifier = _identifier(where)
    names = " and ".join(re.split(r", | and ", authors.replace(" et al.", " and others")))
    fields = {"author": names, "title": f"{{{TITLES.get(identifier, identifier)}}}", "year": year}
    if identifier == where:
        fields["howpublished"] = where
    elif "doi:" in where:
        fields["doi"] = identifier
    else:
        fields |= {"eprint": identifier, "archiveprefix": "arXiv"}
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value.strip("{}")]
    return "\n".join([f"@misc{{{key},", *lines, "}"])
