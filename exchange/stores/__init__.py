"""What is on disk: the engine that makes it durable, its migrations, and what each side stores.

The engine, which knows no table:

- ``engine``: one database for one event loop; ``connection``: how it is opened, and made durable
- ``writer``: many pieces of work, one flush, a truthful outcome each; ``reader``: snapshots beside it
- ``worker``: a thread that serves a queue; ``migrate``: numbered steps; ``sql``: the steps
- ``snapshot``: a copy of one moment, and its check

The coordinator's store:

- ``contract``: what may be asked of it, and what is durable then, whatever the engine;
  ``sharing_contract``: what the processes of one coordinator share: sessions, leases, wake-ups;
  ``opening``: which engine it is
- ``coordinator_sqlite``: the contract kept; ``turn_sqlite``: what is added in a turn; ``mailbox_sqlite``:
  its mailboxes; ``many_rows``: with few calls; ``alone``: what one process shares with itself;
  ``bounds``: how much is returned at once
- ``ledger_contract``: what may be asked about its two logs; ``ledger_sqlite``: that contract kept;
  ``ledger_tiles``: hashes appended and read; ``ledger_reading``: who may read which statement;
  ``leaves``: the leaf that a row is

The same store on PostgreSQL, for several processes:

- ``postgres_place``: where it is; ``postgres``: pools, transactions, truthful commits;
  ``postgres_errors``: what an error means; ``postgres_settling``: the barrier after which a read is durable
- ``migrate_postgres``: numbered steps, old and new side by side; ``postgres_looking``: a look from outside
- ``coordinator_postgres``: the contract kept; ``turn_postgres``: the lock, and one statement for a round;
  ``mailbox_postgres``: mailboxes; ``content_postgres``: content by the day on which it expires
- ``ledger_postgres``: both logs; ``tiles_postgres``: tiles read lately
- ``sharing_postgres``: sessions and leases; ``ticker_postgres``: wake-ups

The node's store, rows in and rows out:

- ``node_notices``: notices and deliveries; ``node_statements``: statements, chains, pairs
- ``node_exposure``: everything of one party, for the question what a key touched
- ``node_sealing``: notices in more than one envelope, and who waits for one
- ``node_queue``: what the coordinator must still be given; ``node_ledger``: what is known of its ledger
- ``node_books``: the rest
"""
