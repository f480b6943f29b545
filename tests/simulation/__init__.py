"""A deterministic simulation of the whole system: everything that happens comes from one seed.

    scenario.py    what a seed asks for: stock, messages, REST writes, faults
    messages.py    what the OMS sends about a reservation, and its release
    changes.py     holds, and what the OMS sends to change an order
    life.py        what else becomes of orders: sweeps of holds, calls over REST, migrations, time
    scheduler.py   simulated time; actors and their threads, which take turns at every call to AWS
    network.py     between an actor and the in-memory AWS: delays, faults, the log
    faults.py      the faults by name
    adversary.py   a REST writer that acts at the worst moment
    actors.py      what they share, the writers over REST, the OMS
    functions.py   the consumer's processes and the sweeps'
    callers.py     clients of the REST API for orders, and the migration
    old_version.py the consumer before the outbox, which ran before, or still runs
    records.py     what a stored record says
    run.py         one history, from an empty stage until nothing is left to do
    invariants.py  what must hold at every point of a history
    requests.py    what was asked for, by order
    ledger.py      what the stock should be (1)
    order_rules.py what may become of a record (2, 5, 6)
    model.py       what a change does to an order, and what its answer says
    answer_rules.py what is owed and sent (3, 4)
    transcript.py  a history as text
    shrink.py      a failing scenario, made as small as it goes
    processes.py   many seeds on several cores
    mutations/     bugs put into the consumer, to see that they are found

`python -m tests.simulation --help` says how to run it, docs/reliability.md what it shows.
"""

from local import environment

environment.isolate_tests()  # not later: an unknown LOG_LEVEL stops the import of the consumer
