"""From the policy as it is configured (exact decimals) to the policy of the domain (hundredths)."""

from decimal import Decimal

from atp_stream.domain.policy import ChannelPolicy, Policy
from atp_stream.settings import Settings


def hundredths(quantity: Decimal) -> int:
    """Return an exact decimal with at most 2 places in hundredths: 12.5 is 1250."""
    return int(quantity.scaleb(2))


def to_policy(settings: Settings) -> Policy:
    """Return the rules in force (design section 3)."""
    return Policy(
        version=settings.policy.version,
        channels=settings.channels,
        safety_stock=hundredths(settings.policy.safety_stock),
        by_channel={
            code: ChannelPolicy(
                protected=hundredths(rules.protected),
                limit=None if rules.limit is None else hundredths(rules.limit),
            )
            for code, rules in settings.policy.channels.items()
        },
    )
