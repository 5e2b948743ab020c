"""What the cluster does not allow: told from what passes by itself, and what permission it is about."""

from typing import Final

from confluent_kafka import Consumer, KafkaError

from .errors import NotPermitted

#: What a refusal is about, by its code.
_REFUSALS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "give the worker's user Read or Write on the topic (`atp-stream doctor` "
    "says which is missing where)",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "give the worker's user Read on the group that worker.application_id names",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "give the worker's user what the cause names, on the cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "give the worker's user Write on the transactional ids that "
    "begin with worker.application_id and a '-'",
    KafkaError.SASL_AUTHENTICATION_FAILED: "correct kafka.sasl_username and kafka.sasl_password",
    KafkaError._AUTHENTICATION: "correct kafka.sasl_username and kafka.sasl_password",
}


def refuse(error: KafkaError) -> None:
    """Raise `NotPermitted` if `error` is a refusal that no retry will change."""
    if error.code() in _REFUSALS:
        raise NotPermitted(
            "the cluster refuses what the worker has to do",
            cause=error.str(),
            fix=f'{_REFUSALS[error.code()]}; all that it needs: docs/operations.md, "Permissions"',
        )


def refuse_group(client: Consumer) -> None:
    """Raise `NotPermitted` if the client was refused the group's coordinator.

    A call that needs the coordinator only times out then; the reason comes by itself, as an event of the consumer's.
    """
    heard = client.poll(0)
    error = None if heard is None else heard.error()
    if error is not None:
        refuse(error)
