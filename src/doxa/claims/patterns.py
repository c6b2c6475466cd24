"""How statistical statements are written: regular expressions, each with bounded repetition.

No expression takes more than a constant time at one place of a text, so that a text of ten million digits or brackets
is read like any other. What is *not* a statement is decided where it is cheap: by what may stand directly before and
behind a number (part of a version, a date, a page, a name), and by the words just before it.
"""

import re

_WORD = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
NUMBER_WORDS = {word: number for number, word in enumerate(_WORD.split("|"), 1)}

_LEFT = r"(?<![\w.,/^\-−–:@#$€£])"  # a number that goes on to the left is another one
_RIGHT = r"(?![\w/^]|[.,:\-−–]\d)"
_INTEGER = r"\d{1,3}(?:,\d{3}){1,4}|\d{1,12}"
_DECIMAL = r"\d{1,12}\.\d{1,12}|\.\d{1,12}|\d{1,3}(?:,\d{3}){1,4}(?:\.\d{1,12})?|\d{1,12}"
_SIGNED = rf"[-−–+]?(?:{_DECIMAL})"
_S = r"\s{0,3}"
UNITS = (
    r"observations?|data\s?points?|seeds?|runs?|replicates?|replications?|repetitions?|repeats?|rollouts?|episodes?|"
    r"trials?|samples?|prompts?|items?|questions?|scenarios?|paraphrases?|participants?|subjects?|raters?|annotators?|"
    r"judges|fine-?tunes?|checkpoints|conversations?|transcripts?|completions?|responses?|answers?|generations?|cases?|"
    r"examples?|instances?|problems?|tasks?|requests?|messages?|documents?|models?|vectors?"
)
_MARK = r"(?:%|percent\b|per\s?cent\b)"

COUNT = re.compile(
    rf"(?:{_LEFT}(?P<before>{_DECIMAL}){_S}{_MARK}{_S}[(\[]{_S})?"
    rf"(?:{_LEFT}(?<!/\s)(?P<k>{_INTEGER})(?P<blank>\s?)/\s?(?P<n>{_INTEGER}){_RIGHT}(?!\s/)"
    rf"|{_LEFT}(?P<of_k>{_INTEGER}|\b(?:zero|none|{_WORD})\b)\s{{1,3}}(?P<out>out\s{{1,3}})?of\s{{1,3}}(?:the\s|all\s|our\s|its\s)?"
    rf"(?P<of_n>{_INTEGER}|\b(?:{_WORD})\b){_RIGHT})"
    rf"(?:{_S}(?:[(\[]|(?P<equals>=)){_S}(?P<after>{_DECIMAL}){_S}{_MARK}(?(equals)|(?={_S}[)\]])))?",
    re.IGNORECASE,
)
"""Events of observations, perhaps with the rate before or behind them."""

NOT_A_COUNT = re.compile(
    r"(?:\b(?:pages?|pp?|steps?|parts?|chapters?|figures?|figs?|tables?|levels?|sections?|volumes?|vol|days?|weeks?|"
    r"questions?|ports?|lines?|versions?|rooms?|issues?|rev|layers?|eqs?|equations?|panels?|slides?|phases?|stages?|"
    r"january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|mar|apr|jun|jul|"
    r"aug|sept?|oct|nov|dec|dated?|since|until)\.?\s{1,3}|[$€£#@])[(]?$",
    re.IGNORECASE,
)
COUNTED = re.compile(rf"\s{{0,3}}(?:[\w-]{{1,20}}\s{{1,3}}){{0,2}}(?:{UNITS}|times?)\b", re.IGNORECASE)
"""What stands behind a count that is one: a unit, after at most two other words."""

PERCENT = re.compile(
    rf"{_LEFT}(?P<rate>{_DECIMAL}){_S}{_MARK}(?!{_S}-?{_S}(?:CI|CIs|confidence|credible|HDI|power|interval|width|level|threshold|prediction|"
    r"bootstrap|Wilson|Wald|Clopper))",
    re.IGNORECASE,
)

_POWER = r"[-−–⁻]\s?[\d⁰¹²³⁴-⁹]{1,4}"
P_VALUE = re.compile(
    rf"(?<![\w\-])ps?(?:{_S}[-–]?{_S}values?)?(?:{_S}\((?:one|two)[- ](?:sided|tailed)\))?{_S}"
    rf"(?P<relation><=|>=|[=<>≤≥≈]|\\[lg]eq?|\\[lg]t|\b(?:of|was|is|equals)\b(?:{_S}(?P<second>[<>=]))?){_S}"
    r"(?P<value>(?P<digits>[-−]?(?:\d{1,6}\.\d{1,15}|\.\d{1,15}|\d{1,6}))"
    rf"(?:{_S}(?:[x×·*]|\\times|\\cdot){_S}10{_S}\^?{_S}\{{?(?P<power>{_POWER})\}}?|[eE](?P<exponent>[-−]?\d{{1,4}}))?)"
    rf"(?:{_S}\^{_S}\{{?{_S}(?P<raised>{_POWER})\}}?|(?P<superscript>⁻[⁰¹²³⁴-⁹]{{1,4}}))?(?![\w%^/]|[.,]\d)",
    re.IGNORECASE,
)
"""A p-value, also as `3 × 10⁻⁵`, `1e-5` and `10^-5`."""

NOT_A_P = re.compile(
    r"(?:top|min|nucleus|dropout|prob|probability|bernoulli|parameter|typical|threshold|cutoff|alpha|level)"
    r"[\s\-_(=,:]{0,3}(?:of\s|with\s|mass\s|sampling\s|rate\s|at\s)?[(]?$",
    re.IGNORECASE,
)
LEGEND = re.compile(
    r"\b(?:significance\s(?:level|threshold)|threshold|considered?\s(?:as\s)?(?:statistically\s)?significant|alpha|asterisks?|stars?|"
    r"denotes?|indicates?)\b|(?:^|\s)[*†‡]{1,4}\s?p\b",
    re.IGNORECASE,
)

LEVEL = r"(?P<level>\d{2}(?:\.\d{1,2})?)\s{0,3}%"
INTERVAL = re.compile(
    rf"(?:{_LEFT}(?P<value>{_SIGNED}){_S}(?P<unit>%|pp|p\.p\.|points?|percentage\spoints?|percent)?{_S}[(\[,;:]?{_S})?"
    rf"(?:{LEVEL}{_S}-?{_S}(?:CIs?|confidence\sintervals?|credible\sintervals?|HDI|intervals?)|(?<!%)(?<!%\s)\bCIs?){_S}[:=,]?{_S}(?:of\s|is\s|was\s|from\s)?"
    rf"[(\[{{]?{_S}(?P<low>{_SIGNED}){_S}(?:%|pp)?{_S}(?:,|;|\bto\b|-|–|—|\.\.){_S}(?P<high>{_SIGNED}){_S}(?:%|pp)?{_S}[)\]}}]?",
    re.IGNORECASE,
)
NOT_AN_ESTIMATE = re.compile(rf"\bn{_S}(?:=|:|\bof\b){_S}$", re.IGNORECASE)
"""What stands before a number of observations: `85% (n = 200; 95% CI 79-89%)` is no estimate of 200."""
OTHER_SCALE = re.compile(
    r"\b(?:(?:odds|risk|hazard|rate|likelihood|incidence)[\s-]ratios?|relative\srisks?|(?-i:a?OR|RR|a?HR|IRR)|correlat\w{1,6}|"
    r"Pearson\w{0,4}|Spearman\w{0,4}|Kendall\w{0,4}|(?-i:AUC|AUROC|r)(?=\s?[=(]))|[ρτ]\s?=",
    re.IGNORECASE,
)
"""Ratios, correlations and areas: their intervals are made on another scale, and the null of a ratio is not 0."""
BRACKETS = re.compile(
    rf"{_LEFT}(?P<value>{_SIGNED}){_S}(?P<unit>%|pp|points?)?{_S}\[{_S}(?P<low>{_SIGNED}){_S}%?{_S}(?:,|;|\bto\b|–){_S}"
    rf"(?P<high>{_SIGNED}){_S}%?{_S}\]",
    re.IGNORECASE,
)

MEAN = re.compile(
    rf"(?:\b(?:means?|averages?|M)\b{_S}(?:score\s|rating\s)?(?:=|of\b|was\b|is\b|:)?{_S}|{_LEFT})(?P<mean>{_SIGNED}){_S}[,;(]?{_S}"
    rf"(?:SD|s\.d\.|std\.?|standard\sdeviation){_S}(?:=|of\b|:)?{_S}(?P<sd>{_DECIMAL})(?:{_S}\)?{_S}[,;]?{_S}\(?n{_S}={_S}(?P<n>{_INTEGER}))?{_RIGHT}",
    re.IGNORECASE,
)
SPREAD = re.compile(
    rf"{_LEFT}(?P<mean>{_SIGNED}){_S}(?P<unit>%|pp|points?)?{_S}(?:±|\+/-|\+/−|\+-|\\pm){_S}(?P<spread>{_DECIMAL})"
    rf"(?:{_S}[(,]?{_S}(?P<kind>SDs?|SEM?|s\.d\.|s\.e\.))?(?:{_S}[(,;]?{_S}n{_S}={_S}(?P<n>{_INTEGER})\)?)?"
    rf"|[(\[,]{_S}(?:±|\+/-|\\pm){_S}(?P<alone>{_DECIMAL})(?![\w.]|{_S}[×x/√])",
    re.IGNORECASE,
)
SPREAD_KIND = re.compile(
    r"\b(?:SDs?|SEs?|SEM|s\.d\.|s\.e\.(?:m\.)?|std|standard\s(?:deviations?|errors?)|CIs?|confidence|credible|range|"
    r"interquartile|IQR|margin|sigma)\b|σ",
    re.IGNORECASE,
)

SAMPLE = re.compile(rf"(?<![\w.\-])n{_S}={_S}(?P<n>{_INTEGER}){_RIGHT}", re.IGNORECASE)
FEW = re.compile(
    rf"{_LEFT}\b(?P<few>\d{{1,2}}|{_WORD})\s{{1,3}}(?:(?!(?:of|or|and|to|per|by|in|for|with|min|minutes|h|hours|s|x|GB|MB|more)\b)[\w-]{{1,20}}\s{{1,3}}){{0,2}}?(?P<unit>{UNITS})(?<=s)\b(?P<each>\s{{1,3}}(?:per|each|from\seach|for\seach|apiece)\b)?",
    re.IGNORECASE,
)
SURE_UNITS = re.compile(
    r"observations?|data\s?points?|seeds?|replicates?|replications?|repetitions?|repeats?|runs?|fine-?tunes?|rollouts?",
    re.IGNORECASE,
)
MEASURED = re.compile(
    r"[%±]|\b(?:means?|averag\w{1,3}|rates?|intervals?|errors?|p|scores?|results?|measured|evaluated|estimated?|over|across|CI)\b",
    re.IGNORECASE,
)
"""Words of a sentence that reports a measurement: in it, `six prompts` is a sample."""
NOT_UNITS = re.compile(
    rf"{_S}(?:[\w-]{{1,20}}\s)?(?:layers?|heads?|parameters?|tokens?|dimensions?|bits?|hours?|days?|epochs?|years?|GPUs?|steps?)\b",
    re.IGNORECASE,
)
EACH = re.compile(
    r"\b(?:per|each|both|every|apiece)\b",
    re.IGNORECASE,
)

NO_DIFFERENCE = re.compile(
    r"\b(?:no|not\sany|without(?:\sany)?|lack\sof(?:\sany)?|failed\sto\sfind(?:\sa|\sany)?|(?:not|n[o’']t)\s(?:find|see|observe|detect)\s(?:a|any))\s"
    r"(?:statistically\s)?(?:significant|measurable|detectable|meaningful|substantial|clear|reliable|evidence\s(?:of|for|that)(?:\sa|\sany)?)"
    r"\s{0,3}(?:[\w-]{1,20}\s{1,3}){0,3}?(?:differences?|effects?|changes?|increases?|decreases?|gaps?|evidence|impact|correlation|variation|improvements?|drop|"
    r"interaction|deterioration|degradation)\b"
    r"|(?<!make\s)(?<!makes\s)(?<!made\s)\bno\s(?:differences?\s(?:between|in|across)|effects?\s(?:of|on)|evidence\s(?:of|for)\b)"
    r"|\b(?:did|does|do)(?:\snot|n[’']t)\s(?:statistically\s|significantly\s)?differ\b"
    r"|\b(?:is|are|was|were)(?:\snot|n[’']t)\s(?:statistically\s)?significant(?:ly)?\b"
    r"|\b(?:did|does|do)(?:\snot|n[’']t)\ssignificantly\s\w{1,20}\b"
    r"|\bnot\s(?:statistically\s)?significant(?:ly)?\b|\bnon-?significant(?:ly)?\b|\binsignificant\sdifferences?\b"
    r"|(?<!\w)n\.s\.|\bstatistically\s(?:indistinguishable|identical|equivalent|the\ssame)\b",
    re.IGNORECASE,
)
MARGIN = re.compile(r"\b(?:margin|equivalence|TOST|non-?inferiority|smallest\seffect|ROPE)\b", re.IGNORECASE)
SIGNIFICANT = re.compile(
    r"\b(?:statistically\ssignificant(?:ly)?"
    r"|significantly\s(?:[\w-]{1,20}\s)?(?:higher|lower|more|less|fewer|better|worse|greater|smaller|larger|different|above|below|"
    r"longer|shorter|increase[sd]?|decrease[sd]?|reduce[sd]?|improve[sd]?|raise[sd]?|drop(?:s|ped)?|outperform(?:s|ed)?|differ(?:s|ed)?)"
    r"|(?:increase[sd]?|decrease[sd]?|reduce[sd]?|improve[sd]?|differ(?:s|ed)?|drop(?:s|ped)?|r[io]se[sn]?|fell)\ssignificantly"
    r"|significant\s(?:[\w-]{1,20}\s)?(?:differences?|effects?|increases?|decreases?|improvements?|reductions?|correlations?|interactions?|variation)"
    r"|(?:is|are|was|were)\s(?:highly\s|also\s)?significant(?=\s?[,.;)]|$))",
    re.IGNORECASE,
)
ERROR_BARS = re.compile(
    r"\b(?:error[\s-]bars?|standard\serrors?|std\.?\serrors?|whiskers|(?:shaded|shading|error)\s(?:bands?|regions?|areas?))\b",
    re.IGNORECASE,
)
DRAWN = re.compile(
    r"\b(?:shows?|shown|represents?|denotes?|indicates?|depicts?|displays?|reports?|reported|plots?|plotted|drawn?|given|is|are|was|were|"
    r"with|computed|correspond|gives?)\b|[=:±(]",
    re.IGNORECASE,
)
"""Words of a sentence that shows error bars, and does not only speak of them."""
NO_BARS = re.compile(
    r"\b(?:no|without|any|lacks?|missing|needs?|add(?:s|ed|ing)?|asks?|wants?)\s(?:[\w-]{1,20}\s){0,2}$", re.IGNORECASE
)
AVERAGED = re.compile(
    rf"\b(?:averaged?|averaging|averages|means?)\s(?:was\s|were\s|is\s|are\s)?(?:taken\s)?(?:over|across)\s(?P<over>(?:[\w-]{{1,20}}\s){{0,3}}?(?:{UNITS}))\b",
    re.IGNORECASE,
)
OVER_UNITS = re.compile(
    rf"\b(?:over|across|between|among|by|per|clustered\s(?:by|on|at))\s(?:[\w,-]{{1,20}}\s{{1,3}}){{0,4}}?(?:{UNITS})\b"
    rf"|\b(?:{UNITS})[-\s]?(?:level|to-\w{{1,10}}|wise|clustered)\b",
    re.IGNORECASE,
)

TESTS = re.compile(
    r"\b(?:fisher|boschloo|barnard|chi-?\s?squared?|mc\s?nemar|student|welch|wilcoxon|mann|whitney|kruskal|permutation|sign-?flip|"
    r"bootstrap\w*|binomial|anova|brunner|log-?\s?rank|likelihood\sratio|randomi[sz]ation|kolmogorov|page[’']s|wald|z-?\s?tests?|t-?\s?tests?|"
    r"f-?\s?tests?|regression|mixed\s(?:effects?\s)?models?|tukey|rank\stest)\b|χ|\\chi|\b[tFzrUW]\s?\(\s?\d|(?<!\w)[tFzU]\s?=",
    re.IGNORECASE,
)
COMPARED = re.compile(
    r"\b(?:vs\.?|versus|v\.?|against|compared\s(?:to|with)|than|while|whereas|but|and|to|from|relative\sto|rather|instead)(?!\w)|^\s?[,;/]\s?$",
    re.IGNORECASE,
)
PAIRED = re.compile(r"\b(?:paired|mc\s?nemar|same\s(?:items|prompts|questions|scenarios))\b", re.IGNORECASE)
ONE_SIDED = re.compile(r"\bone[-\s](?:sided|tailed)\b", re.IGNORECASE)
DIRECTLY = re.compile(r"\b(?:vs\.?|versus|v\.?|against|compared\s(?:to|with)|relative\sto)(?!\w)", re.IGNORECASE)

TRIGGER = re.compile(
    r"\d|±|signific|differ|n\.s\.|indistinguish|statistical|error|whisker|shad|averag|means?\s|effects?\s|evidence|"
    r"observation|seed|replica|repet|repeat|\bof\s",
    re.IGNORECASE,
)
"""A sentence without any of these says nothing statistical."""
