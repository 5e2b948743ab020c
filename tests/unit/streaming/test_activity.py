"""Steps in hand, and that something moved."""

from atp_stream.streaming.activity import Activity, Doing


def test_given_steps_that_overlap_then_each_is_known_with_its_beginning_until_it_ends_however_it_does() -> None:
    times = iter(range(100))
    activity = Activity(lambda: float(next(times)))
    assert activity.moved == 0
    try:
        with activity.doing(Doing.RECOVERING):
            with activity.doing(Doing.SETTLING):
                assert activity.steps == {Doing.RECOVERING: 1.0, Doing.SETTLING: 2.0}
                assert (
                    activity.told()
                    == "recovering offsets and state for 2 s, asking for the group's stable offsets for 1 s"
                )
            assert activity.steps == {Doing.RECOVERING: 1.0}
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert activity.steps == {}
    assert activity.told() == "no step in hand"


def test_given_a_movement_then_it_is_counted_and_dated() -> None:
    now = [5.0]
    activity = Activity(lambda: now[0])
    now[0] = 9.0
    activity.move()
    assert (activity.moves, activity.moved) == (1, 9.0)
    with activity.doing(Doing.COMMITTING):
        assert activity.moves == 2
    assert activity.moves == 3  # the end of a step is one too
