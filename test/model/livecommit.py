"""Exhaustive check of ways to commit the low watermark less often than once a batch.

One partition and one integration. B batches from a stream go to NF processes, any of which
gets the next one; unless CALM, two may have the same batch (one is a zombie). NC catch-up
workers, one stop and start, failed deliveries and crashes, anywhere. As in the code, a
subscriber joins where the low watermark is not beyond its offset, and keeps that as "from".
Every interleaving is explored. Violations are:

  lost      all is quiet, and the integration is live or at the end of its cursor, but has
            not got everything in the log: what is missing is behind the low watermark
  stranded  the same, but the low watermark is still before what is missing: it comes with
            the next batch, whenever that is
  owner     a running integration has no owner, or two

It also counts the worst number of events that live delivery sends again although its own
process or another one had delivered them.

python3 livecommit.py VARIANT [NF,NC,B,CRASHES,STOPS,GIVEUPS] [calm]

every      the protocol: each batch commits its low watermark on the version it read
read       a batch commits only if K segments are not committed; otherwise it reads the
           version again. The process remembers what it delivered
read+end   the same, and a join also holds only if the log still ends at its offset
carry      the segment that a process appends carries the low watermark that the process
           knows; after delivery it reads the version again, and commits nothing
carry+end  the same, with the join of read+end
order      as carry, but taking from the stream's order that all earlier batches are done
order+end  the same, with the join of read+end
blind      a commit ignores the version, to show that the model finds a loss

docs/adr/0027-each-batch-commits.md has what came out, and why the protocol stays "every".
"""
import sys
from collections import deque, namedtuple

VARIANT = sys.argv[1]
NF, NC, B, CRASHES, STOPS, GIVEUPS = (int(x) for x in (sys.argv[2] if len(sys.argv) > 2 else "2,1,3,0,1,0").split(","))
CALM = "calm" in sys.argv[3:]
K = 2
END = VARIANT.endswith("+end")
KIND = VARIANT.removesuffix("+end")

# low: the low watermark. live: 0, or the generation of the live subscriber, which joined at
# frm. v: the version of the partition state. cur, cver: the cursor. mem: of each process,
# the generation it delivered to last, and up to where. again: events sent again.
S = namedtuple("S", "log low live frm v cur cver gen running got batch fs cs mem crashes stops giveups again")
F = namedtuple("F", "pc b n low live frm v")
C = namedtuple("C", "pc pos cver gen v low end")
INIT = S((), 0, 0, 0, 0, 0, 0, 1, True, frozenset(), 0, (None,) * NF, (None,) * NC, ((0, 0),) * NF, CRASHES, STOPS, GIVEUPS, 0)


def put(t, i, x):
    return t[:i] + (x,) + t[i + 1:]


def process(s, i):
    """The steps of process i, which has a batch or takes the next one."""
    f = s.fs[i]
    to = lambda f, **k: s._replace(fs=put(s.fs, i, f), **k)
    done = lambda **k: to(None, batch=max(s.batch, f.b), **k)
    if f is None:
        if s.batch < B and not (CALM and any(s.fs)):
            yield to(F(0, s.batch + 1, 0, 0, 0, 0, 0))
        return
    known = s.mem[i][1] if s.mem[i][0] == f.live else 0
    if f.pc == 0:  # append, unless the log has it
        if f.b in s.log:
            yield to(f._replace(pc=1, n=s.log.index(f.b) + 1))
        else:
            low = s.low
            if KIND == "order":
                low = max(low, len(s.log))
            if KIND == "carry" and s.mem[i][0]:
                low = max(low, min(s.mem[i][1], len(s.log)))
            yield to(f._replace(pc=1, n=len(s.log) + 1), log=s.log + (f.b,), low=low)
    elif f.pc == 1:  # read the partition state
        yield to(f._replace(pc=2, low=s.low, live=s.live, frm=s.frm, v=s.v))
    elif f.pc == 2:  # deliver to the subscriber
        at = max(f.low, f.frm, known)
        if not f.live or at >= f.n:
            yield to(f._replace(pc=4))
            return
        sent = frozenset(range(at + 1, f.n + 1))
        again = max(s.again, len(sent & s.got)) if CALM else 0
        yield to(f._replace(pc=4), got=s.got | sent, mem=put(s.mem, i, (f.live, f.n)), again=again)
        if not CALM:
            yield to(f._replace(pc=3))
    elif f.pc == 3:  # it failed: it leaves onto its cursor
        if s.v == f.v:
            yield to(f._replace(pc=4, live=0, v=s.v + 1), live=0, v=s.v + 1, cur=max(f.low, f.frm, known), cver=s.cver + 1)
        else:
            yield to(f._replace(pc=1))
    elif f.pc == 4:  # commit, or read the version again
        if s.low >= f.n:
            yield done()
        elif s.v != f.v and KIND != "blind":
            yield to(f._replace(pc=1))
        elif KIND in ("every", "blind") or KIND == "read" and f.n - s.low >= K:
            yield done(low=f.n, v=s.v + 1)
        else:
            yield done()


def worker(s, i):
    """The steps of catch-up worker i."""
    c = s.cs[i]
    to = lambda c, **k: s._replace(cs=put(s.cs, i, c), **k)
    if c is None:
        if s.cur is not None and s.running:
            yield to(C(1, s.cur, s.cver, s.gen, 0, 0, 0))
    elif c.pc == 1:  # read the log
        yield to(c._replace(pc=2, end=len(s.log)))
    elif c.pc == 2 and c.pos < c.end:
        yield to(c._replace(pc=4, pos=c.pos + 1), got=s.got | {c.pos + 1})
        yield to(None)
    elif c.pc == 2:  # at the end: read the partition state
        yield to(c._replace(pc=3, v=s.v, low=s.low))
    elif c.pc == 3:  # join
        mine = s.cver == c.cver and s.cur is not None and s.running and s.gen == c.gen
        if mine and s.v == c.v and c.low <= c.pos and (not END or len(s.log) == c.pos):
            yield to(None, live=c.gen, frm=c.pos, v=s.v + 1, cur=None, cver=s.cver + 1)
        else:
            yield to(None)
    elif c.pc == 4:  # save the cursor
        if s.cver == c.cver and s.cur is not None:
            yield to(c._replace(pc=1, cver=s.cver + 1), cur=c.pos, cver=s.cver + 1)
        else:
            yield to(None)


def steps(s):
    for i in range(NF):
        yield from process(s, i)
        if s.crashes and s.fs[i]:
            yield s._replace(fs=put(s.fs, i, None), mem=put(s.mem, i, (0, 0)), crashes=s.crashes - 1)
            if s.giveups:  # the stream gives the batch up
                yield s._replace(fs=put(s.fs, i, None), mem=put(s.mem, i, (0, 0)), crashes=s.crashes - 1, giveups=s.giveups - 1, batch=max(s.batch, s.fs[i].b))
    for i in range(NC):
        yield from worker(s, i)
        if s.crashes and s.cs[i]:
            yield s._replace(cs=put(s.cs, i, None), crashes=s.crashes - 1)
    if s.running and s.stops:
        if s.live:
            yield s._replace(running=False, live=0, v=s.v + 1, cur=max(s.low, s.frm), cver=s.cver + 1, gen=s.gen + 1, stops=s.stops - 1)
        elif s.cur is not None:
            yield s._replace(running=False, cver=s.cver + 1, gen=s.gen + 1, stops=s.stops - 1)
    if not s.running:
        yield s._replace(running=True, cver=s.cver + 1, gen=s.gen + 1)


def violation(s):
    if bool(s.live) == (s.cur is not None):
        return "owner"
    quiet = not any(s.fs) and not any(s.cs) and s.batch == B and s.running
    missing = set(range(1, len(s.log) + 1)) - s.got
    if not quiet or not missing or not s.live:
        return None  # a cursor is read on, whatever the stream does
    if min(missing) <= max(s.low, s.frm):
        return "lost"
    if GIVEUPS and s.giveups == 0:
        return None  # a batch given up is delivered with the next one
    return "stranded"


def main():
    seen, todo, bad, again = {INIT: None}, deque([INIT]), None, 0
    while todo and not bad:
        s = todo.popleft()
        again = max(again, s.again)
        if violation(s):
            bad = s
            break
        for t in steps(s):
            if t not in seen:
                seen[t] = s
                todo.append(t)
    print(f"{VARIANT} {NF},{NC},{B},{CRASHES},{STOPS},{GIVEUPS}{' calm' * CALM}: {len(seen)} states; "
          + (f"VIOLATION {violation(bad)}" if bad else "holds") + (f"; {again} sent again without a fault" if CALM else ""))
    path = []
    while bad is not None:
        path.append(bad)
        bad = seen[bad]
    for p in reversed(path):
        print(f"  log={len(p.log)} low={p.low} live={p.live} from={p.frm} v={p.v} cursor={p.cur} gen={p.gen} running={p.running} got={sorted(p.got)} processes={[f and f.pc for f in p.fs]} workers={[c and c.pc for c in p.cs]}")
    return 1 if path else 0


sys.exit(main())
