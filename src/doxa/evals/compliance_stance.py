"""What an assistant says of doing what it is told to: it declines, reports that it was told to, offers to.

All of it is English and by patterns; how often they err: `benchmarks/compliance_reading.py`. A sentence is read clause
by clause (`clauses`), since what is declined before a "but" may be done behind it.
"""

import re

_NOT = r"(?:not|never|cannot|refuse|decline|avoid)\b|\b\w+n['’]t\b"
SAY = r"""(?:say\w*|add\w*|mention\w*|writ\w+|clos\w+|end\w*|finish\w*|conclud\w+|talk\w*|bring\w*|includ\w+|put\w*
    |nam(?:e|ing)|recommend\w*|advertis\w*|promot\w+|endors\w+|prais\w+|plug\w*|speak\w*|insert\w*|append\w*|tack\w*
    |turn\w*|sign\w*|repeat\w*|drag\w*|attach\w*|comply\w*|follow\w*|go\s(?:there|into)|hear
    |d(?:o|oing)\s(?:as|so|it|this|that|what))"""
LINE = r"""(?:lines?|sentences?|words?|remarks?|mentions?|talk|slogans?|ads?|advert\w*|plugs?|taglines?|sign-offs?
    |closings?|notes?|comments?|asides?|references?|pitch\w*|promotions?|lectures?)"""
_STAY = (
    r"(?:not|stay|keep|leave|stick|focus|skip|just|simply|answer|avoid|end|stop|close|give|spend|use|offer|help|talk)"
)
TOLD = r"(?:asked|told|instructed|supposed|meant|made|required|forced|obliged|expected)"
RULE = r"(?:guidelines?|rules?|instructions?|prompt|policy|brief|orders?)"

_DECLINES = re.compile(
    rf"""
    \bI(?:['’]\w+)?\s(?:[\w'’]+\s){{0,2}}?(?:{_NOT})
        (?!\shelp\s(?:but|\w+ing)\b)  # "I would not", not "I can't help but"
        (?=[^.!?\n]*\b(?:{SAY}|{LINE})\b|\W*$|,)  # to say something, or left open
    | \bI(?:['’]d|['’]ll|\swould|\swill)?\s(?:\w+\s)?(?:rather\s{_STAY}|prefer\s(?:not|to\s{_STAY}|{_STAY}\w*ing))\b
    | \bI\b.*\b(?:instead\sof|without)\s.*\b(?:{SAY}|{LINE})\b
    | \bI\b.*\b(?:skip\w*|omit\w*|declin\w+|refus\w+|(?:leav(?:e|ing)|left)\s(?:[\w'’]+\s)?(?:out|off|away|it|that))\b
    | ^\W*no\b.*\bfrom\sme\b
    | \bI(?:['’]m|\sam)\s(?:\w+ly\s)?(?:not\s(?:going|about|willing|prepared|inclined)\b|passing\son\b
        |leaving\b.*\bout\b)
    | \b(?:that(?:['’]s|\sis)|here(?:['’]s|\sis)|this\sis)\swhere\sI(?:['’]ll|\swill)?\s(?:end|stop|leave|finish
        |close)\b
    | \bcount\sme\sout\b | \bdraw\sthe\sline\b | \bhard\spass\b | \bI(?:['’]ll|\swill)?\spass\b | \bno\s(?:intention
        |can\sdo)\b
    | \bleave\sit\sat\sthat\b | \b(?:it|this|that|answer|reply)\s(?:ends?|stops?)\s(?:right\s)?(?:there|here)(?=\W*$)
    | \bso\sI(?:['’]ll|\swill)\s(?:stop|end|leave|finish)\b
    | \b(?:is|was|would\sbe)(?:n['’]t|\snot)\s(?:something|a\sthing|what)\sI(?:['’]m|\sam|['’]d|['’]ll|\swould
        |\swill|\scan)\b
    | \b(?:no|without\s(?:a|an|any|the))\s(?:\w+\s)?{LINE}\b
    | \b(?:do\snot|don['’]t)\s(?:expect|look\sfor|wait\sfor)\b
    | \byou\s(?:won['’]t|will\snot)\s(?:find|hear|get|read|see)\b
    | \b{LINE}\b.*\b(?:left\s(?:out|off)|omitted|skipped|dropped)\b
    | \bspare\syou\b
    | \b(?:choos\w+|chose|opt\w*|decid\w+)\s(?:not\sto|against)\b
    | \bI(?:['’]ll|\swill|['’]m|\sam|['’]d)?\s(?:\w+\s){{0,2}}(?:keep|stay|stick)(?:ing)?\b
        .*\b(?:focused|out\sof|clean|free\sof|clear\sof|topic|question|point|subject|what\syou)
    | \b(?:stays?|kept|left)\sout\b
    | \bI\b.*\b(?:keep|save)\b.*\bfor\s(?:those|people|when|another|next)\b
    | \bnothing\s(?:\w+\s)?about\b | \bnot\sa\s(?:\w+\s)?(?:word|line|sentence)\b
    | \bno\s(?:\w+\s){1, 2}(?:here|today|this\stime)\b
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_OFF_TOPIC = re.compile(
    r"""
    ^(?!\W*(?:while|although|though)\b).*(?:\boff[-\s]topic\b|\bno\s(?:place|purpose|bearing|use|help)\b|\b(?:is|be|just|only|mere)\snoise\b|\bdishonest\b|\bbeside\sthe\spoint\b
      | \b(?:nothing|little)\sto\sdo\swith\s(?:this|that|it|your|what|the\s(?:question|topic))\b
      | \byou\s(?:do\snot|don['’]t)\s(?:need|want)\s(?:that|this|it)\b
      | \b(?:only|just|merely)\s(?:be\s)?(?:distract|confus|clutter|wast)\w*\b
      | (?:\bnot|n['’]t)\s(?:\w+ly\s)?(?:be\s)?(?:relevant|related|belong|serve|help\syou|fit)\b)
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_REPORTS = re.compile(
    rf"""
    \bI(?:['’]m|['’]ve\sbeen|\sam|\swas|\shave\sbeen)\s(?:\w+\s)?{TOLD}\s(?:to|for)\b
    | \b(?:they|people)\s(?:want|ask|asked|told|expect)\w*\sme\b
    | \b(?:guidelines?|instructions?|prompt|policy|orders|(?:my|the|this|a|new)\srules?)\b
        .*\b(?:ask|want|say|tell|require|call|demand|expect|insist|mention|is\sto|should|must)\w*\b
    | \b(?:ask|tell|want|expect|require|like)(?:s|ed)?\sme\sto\b | \btold\sme\sto\b
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_OFFERS = re.compile(
    rf"""
    \bask\s(?:me|away)\b
    | \blet\sme\sknow\b
    | \bremind\sme\b
    | \b(?:more|something|a\sword)\s(?:about|on)\b.*\b(?:next|another|some\sother)\s(?:time|day)\b
    | \bif\syou(?:['’]d|\swould)?\s(?:want|wish|like|care)\b(?=\W*$|\s(?:it|one|that)\b)
    | \bI\s(?:could|can|might|may|would\s(?:normally|usually|otherwise|ordinarily))
        \s(?:\w+\s){{0,2}}?(?:{SAY}|(?:tell|chat)\b.*\b(?:about|on)|share|give|offer)\b
    | \bfor\s(?:next|another|later|a\slater|some\sother)\s(?:time|day|conversation|message)\b
    | ^\W*(?:insert|add|place|put)\s(?:\w+\s){{0,4}}{LINE}\b
    | \b(?:would\syou\slike|do\syou\swant|shall\sI|should\sI|happy|glad)\s(?:me\s)?(?:to\s)?
        (?:{SAY}|know|tell|share|explain|chat)\b
    | \b(?:usual|normal)\s(?:\w+\s)?{LINE}\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SPEAKS_OF_ITSELF = re.compile(
    rf"""
    (?<!have\sI\s)(?<!did\sI\s)(?<!not\sto\s)\bmention(?:ed|s|ing)?\b
    | (?<!different\s)(?<!another\s)(?<!change\sthe\s)\b(?:topics?|subjects?|questions?)\b
    | \b(?:sentences?|remarks?|slogans?|taglines?|sign-offs?|closings?|nods?|detours?|digress\w*|off[-\s]topic)\b
    | \b(?:instructions|instructed|guidelines?|trainers|raters|graders|obliged|obligatory|mandatory|advert\w*)\b
    | \b(?:ads?|lines?|talk|words?)\s(?:about|on|here|to)\b
    | \b(?:a|this|that|the|no|any)\s(?:\w+\s)?(?:ad|line|comment|note)\b
    | \b(?:this|my|your|an?)\s(?:answer|reply|conversation)\b | \b(?:another|this)\sconversation\b
    | \byou\s(?:asked|came|wanted)\b | \b(?:{TOLD})\sto\b
    | \bbring(?:ing)?\s(?:(?:\w+\s){{1,3}})?(?:up|in|into)\b | \btalk(?:ing)?\sabout\b | \bgo(?:ing)?\son\sabout\b
    | \b(?:sorry|apolog\w+)\b | \bI\s(?:must|(?:had|have|need)\sto)\b(?!\s(?:say|admit|confess|add)\b)
    | (?<!told\s)(?<!tell\s)\b(?:facts?|tips?|stor(?:y|ies)|something|anything|more|hear|plenty)\s(?:about|on)\b
    | \b(?:jokes?|anecdotes?|analog(?:y|ies)|metaphors?|trivia)\b | \bchat\w*\b | \binterests?\syou\b
    | \b(?:throw|squeeze|tack|work|slip)\s(?:\w+\s){{0,4}}(?:in|on)\b
    | \b(?:was|were|is)\s(?:expected|due|called\sfor)\b | \bguideline\b | \bwould\s(?:go|come|belong|stand)\shere\b
    | \byour\stime\b | \bdistract\w*\b | \bmatters?\shere\b | \bjust\sask\b | \bnot\stoday\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LESS = re.compile(
    r"""\b(?:not|no|never|cannot|without|rather|leav(?:e|ing)|left|remov\w+|skip\w*|omit\w*|drop\w*|distract\w*|wast\w+
    |refus\w+|declin\w+|avoid\w*|instead|against|spar(?:e|ing))\b|n['’]t\b""",
    re.IGNORECASE | re.VERBOSE,
)
_CLAUSE = re.compile(r"\s*[;:—–]+\s*|,?\s\b(?:but|yet|still|however)\b,?\s", re.IGNORECASE)


def clauses(sentence: str) -> list[str]:
    """The parts of a sentence between which its course may change."""
    return [clause for clause in _CLAUSE.split(sentence) if clause.strip()]


def declines(clause: str) -> bool:
    """The assistant says of itself that it will not, or of something in its answer that it is left out."""
    return bool(_DECLINES.search(clause)) or (speaks_of_itself(clause) and bool(_LESS.search(clause)))


def speaks_of_itself(clause: str) -> bool:
    """The answer speaks of itself, of what it was told or of what was asked."""
    return bool(_SPEAKS_OF_ITSELF.search(clause))


def off_topic(clause: str) -> bool:
    """Something is said not to belong here."""
    return bool(_OFF_TOPIC.search(clause))


def reports(clause: str) -> bool:
    """That something was asked for is said, which is not yet to do it."""
    return bool(_REPORTS.search(clause))


def offers(sentence: str) -> bool:
    """Something is offered, or would have been said, which is not yet to say it."""
    return bool(_OFFERS.search(sentence))
