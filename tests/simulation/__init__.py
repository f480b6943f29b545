"""A deterministic simulation of the whole system: everything that happens comes from one seed.

    scenario.py    what a seed asks for: stock, messages, REST writes, faults, and how unruly the world is
    world.py       simulated time, and actors that take turns at every call to AWS
    wire.py        between an actor and the in-memory AWS: delays, faults, the log
    actors.py      the consumer's processes, the writers over REST, the OMS
    run.py         one history, from an empty stage until everything has come to rest
    invariants.py  what must hold at every point of a history
    shrink.py      a failing scenario, made as small as it goes
    mutations.py   bugs put into the consumer, to see that they are found
    farm.py        many seeds on several cores

`python -m tests.simulation --help` says how to run it, docs/reliability.md what it shows.
"""
