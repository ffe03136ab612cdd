"""The mathematics of a verdict: sufficient statistics in, evidence with its uncertainty out.

``from vedette import stats`` gives every function and result by its own name (`stats.two_means`, `stats.mcnemar`), and
every module as a namespace (`stats.proportions`, `stats.rates`, `stats.power`). What is in several modules under one
name is found in the modules alone: `stats.proportions.difference` and `stats.rates.difference`. Nothing is imported
before it is first used.
"""

import importlib
import pkgutil

_NAMES = {
    "bayes": "ArmBelief Beliefs BetaPrior EffectBelief Lift NormalPrior beta_binomial normal_effect normal_means",
    "best_arm": "Stopping beta_best expected_losses glr_threshold may_stop normal_best optimal_allocation",
    "boundaries": "best_rho beta_binomial_boundary beta_binomial_log_mixture double_stitched_boundary "
    "gamma_exponential_boundary gamma_exponential_log_mixture gamma_poisson_boundary gamma_poisson_log_mixture "
    "normal_boundary normal_log_mixture stitched_boundary",
    "cautions": "CAUTIONS Caution",
    "clusters": "cluster_estimate compare_clusters residual_estimate",
    "contrasts": "Contrasts FixedRule SequenceRule against equivalence_p_value",
    "effect_mixture": "mixture_critical mixture_log_e",
    "estimates": "Estimates Quantity paired_estimates stratified_estimates",
    "finding": "Finding",
    "futility": "BetaSpending LowConditionalPower",
    "group_sequential": "Design Look Looks Operation Overrun RECOMMENDED RECOMMENDED_LOOKS RECOMMENDED_WITH_FUTILITY "
    "crossing_probabilities drift_for_power equally_spaced inflation operate",
    "group_sequential_inference": "FinalAnalysis Interval conditional_power final_analysis predictive_power "
    "repeated_interval sequential_p_value",
    "look_rule": "LookRule",
    "many_means": "ManyComparisons Means compare_pairs dunnett games_howell max_modulus_critical step_down_dunnett "
    "tukey",
    "multiplicity": "Multiplicity adjust adjust_families simultaneous_alpha",
    "omnibus": "Omnibus alexander_govern kruskal_wallis wald welch_anova",
    "order": "cluster_quantile_estimate clustered_quantile compare_quantiles quantile_difference quantile_estimate "
    "quantile_interval",
    "paired": "McNemar cochran_q friedman mcnemar paired_cluster_sums paired_clusters paired_t paired_t_moments "
    "paired_table signed_rank",
    "planning": "Power",
    "power": "Distribution correlation cuped_factor design_effect one_mean ratio_sd two_means",
    "power_arms": "Correction Success chi_square cohen_f leader_versus_all pick_the_best versus_control",
    "power_proportions": "ProportionConvention arcsine_difference cohen_h two_proportions two_rates",
    "power_sequential": "AdditionalSample Duration SequentialPlan additional_sample always_valid duration "
    "relative_standard_error",
    "proportion_exact": "barnard boschloo fisher",
    "proportion_intervals": "Counts agresti_caffo_difference agresti_coull clopper_pearson newcombe_difference "
    "wald_difference wilson wilson_continuity yates_difference",
    "proportion_margins": "Equivalence",
    "proportion_tables": "Independence TableStatistic equal_proportions independence",
    "proportions": "DifferenceMethod OddsMethod ProportionMethod RatioMethod odds_ratio",
    "quantiles": "OrderComparison QuantileComparison QuantileInterval cdf_band_radius distribution_exceeds "
    "quantile_ab_p_value quantile_exceeds quantile_sequence quantiles_differ",
    "ranking": "ArmRank Ranking probability_best rank_arms rank_intervals",
    "rate_dispersion": "OverdispersedMethod dispersion negative_binomial_shape overdispersed_ratio",
    "rate_intervals": "Events garwood",
    "rate_ratio": "RatioInterval log_e_non_inferiority log_e_regression",
    "rates": "RateDifferenceMethod RateMethod RateRatioMethod one_rate",
    "relative": "RelativeEffect delta_ratio log_ratio",
    "resampling": "Bootstrap bootstrap brunner_munzel mann_whitney permutation_test",
    "results": "Estimate",
    "sequential": "MeanEstimate Side balanced_size compare log_e_value proportion",
    "spending": "Family spent",
    "srm": "RatioCheck Split clustered_check fixed_check log_likelihood log_marginal_likelihood sequential_check "
    "share_sequence",
    "winners_curse": "Shrunk WinnerEstimate shrunk winner_estimate",
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}
_MODULES = frozenset(module.name for module in pkgutil.iter_modules(__path__))


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*_PLACES, *_MODULES})
