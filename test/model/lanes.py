"""Exhaustive check of how the lanes of a tenant grow while it publishes.

One tenant, with one lane at first. Operators give it two lanes, in three steps: widen the
tenant's record, give every integration a cursor in the new lane, open the lane. Meanwhile one
integration is registered, an older one is stopped and started, and a replay ends; publishers go
by a number of lanes that they read at some time before. Operators may stop between any two steps,
and the call is then repeated. Every interleaving is explored. A violation is

  lost     an event is in a lane where an integration that must get it has no cursor. A replay
           must get the events of its time; the others, those since their registration

python3 lanes.py VARIANT [OPERATORS,PUBLISHERS,CRASHES]

ok             the protocol
open-first     the lane is opened before the cursors are there
no-widen       nothing but the integrations that the operator finds get the lane
blind          a registration does not notice that the tenant's record has changed
blind-start    a start does not: it writes the integration as it read it
no-replay      a replay gets no further lane

docs/adr/0024-lanes-of-a-tenant.md has the argument.
"""
import sys
from collections import deque, namedtuple

VARIANT = sys.argv[1] if len(sys.argv) > 1 else "ok"
NO, NP, CRASHES = (int(x) for x in (sys.argv[2] if len(sys.argv) > 2 else "2,2,1").split(","))

# wide, tver: the tenant's record. opened: lanes that are open. ints: of the old integration, the
# new one and the replay, (lanes, version) or None; running: of the old one. ops: the operators.
# reg, start: a registration and a start in progress. pubs: how many lanes the publishers know.
# need: how many lanes each integration needs, by the events that it must get. times: the replay's
# end has passed; an event gets its time when it is put. over: the replay is complete.
S = namedtuple("S", "wide tver opened ints running ops reg start pubs need times over crashes")
INIT = S(1, 0, 1, ((1, 0), None, (1, 0)), True, (None,) * NO, None, None, (None,) * NP, (0, 0, 0), False, False, CRASHES)
OLD, NEW, REPLAY = range(3)


def put(t, i, x):
    return t[:i] + (x,) + t[i + 1:]


def operator(s, i):
    """The steps of an operator's call. todo: integrations that it has found; read: one as it was read."""
    o = s.ops[i]
    to = lambda o, **k: s._replace(ops=put(s.ops, i, o), **k)
    if o is None:
        yield to(("widen", (), None))
        return
    step, todo, read = o
    if step == "widen":
        if VARIANT == "no-widen":
            yield to(("list", (), None))
        else:
            yield to(("open" if VARIANT == "open-first" else "list", (), None), wide=2, tver=s.tver + (s.wide < 2))
    elif step == "list":
        yield to(("grow", tuple(n for n in (OLD, NEW, REPLAY) if s.ints[n]), None))
    elif step == "grow" and not todo:
        yield to(("done" if VARIANT == "open-first" else "open", (), None))
    elif step == "grow" and read is None:
        lanes, version = s.ints[todo[0]]
        if lanes == 2 or todo[0] == REPLAY and (s.over or VARIANT == "no-replay"):
            yield to(("grow", todo[1:], None))
        else:
            yield to(("grow", todo, version))
    elif step == "grow":
        lanes, version = s.ints[todo[0]]
        if version == read:
            yield to(("grow", todo[1:], None), ints=put(s.ints, todo[0], (2, version + 1)))
        else:
            yield to(("grow", todo, None))
    elif step == "open":
        yield to(("list" if VARIANT == "open-first" else "done", (), None), opened=2)


def register(s):
    if s.ints[NEW]:
        return
    if s.reg is None:
        yield s._replace(reg=(s.wide, s.tver))
    elif s.reg[1] == s.tver or VARIANT == "blind":
        yield s._replace(reg=None, ints=put(s.ints, NEW, (s.reg[0], 0)), tver=s.tver + 1)
    else:
        yield s._replace(reg=None)


def stop_and_start(s):
    """A start reads the tenant's record and its integration; a stop is one step here."""
    lanes, version = s.ints[OLD]
    if s.running:
        if version < 3:  # once or twice
            yield s._replace(running=False, ints=put(s.ints, OLD, (lanes, version + 1)), tver=s.tver + 1)
    elif s.start is None:
        yield s._replace(start=(max(lanes, s.wide), s.tver, version))
    else:
        to, tver, was = s.start
        if VARIANT == "blind-start" or tver == s.tver and was == version:
            yield s._replace(start=None, running=True, ints=put(s.ints, OLD, (to, version + 1)), tver=s.tver + 1)
        else:
            yield s._replace(start=None)


def publisher(s, i):
    """A publisher reads how many lanes are open, and later puts an event in each of them."""
    if s.pubs[i] is None:
        yield s._replace(pubs=put(s.pubs, i, s.opened))
        return
    owed = tuple(n for n in (OLD, NEW) if s.ints[n]) + (() if s.times else (REPLAY,))
    need = tuple(max(s.need[n], s.pubs[i] if n in owed else 0) for n in (OLD, NEW, REPLAY))
    yield s._replace(pubs=put(s.pubs, i, None), need=need)


def steps(s):
    for i in range(NO):
        yield from operator(s, i)
        if s.crashes and s.ops[i] and s.ops[i][0] != "done":
            yield s._replace(ops=put(s.ops, i, None), crashes=s.crashes - 1)
    for i in range(NP):
        yield from publisher(s, i)
    yield from register(s)
    yield from stop_and_start(s)
    if not s.times:
        yield s._replace(times=True)
    elif not s.over:
        lanes, version = s.ints[REPLAY]
        yield s._replace(over=True, ints=put(s.ints, REPLAY, (lanes, version + 1)))


def violation(s):
    lacking = any(i and i[0] < n for i, n in zip(s.ints, s.need))
    return "lost" if lacking else None


def main():
    seen, todo, bad = {INIT: None}, deque([INIT]), None
    while todo and not bad:
        s = todo.popleft()
        if violation(s):
            bad = s
            break
        for t in steps(s):
            if t not in seen:
                seen[t] = s
                todo.append(t)
    print(f"{VARIANT} {NO},{NP},{CRASHES}: {len(seen)} states; " + (f"VIOLATION {violation(bad)}" if bad else "holds"))
    path = []
    while bad is not None:
        path.append(bad)
        bad = seen[bad]
    for p in reversed(path):
        print(f"  {p}")
    return 1 if path else 0


sys.exit(main())
