"""Whether a reply is right: option letters by a protocol with a name, other answers by a scorer with a name.

Read `letters` (reply -> letter), then `texts` (reply -> right or wrong, where a question has no options).
"""

from hide_utils.samples import SCORERS
from hide_utils.scoring.letters import PROTOCOLS, letter_from_logits, margin, parse_letter, probabilities
from hide_utils.scoring.texts import SCORING, check_answers, is_right
