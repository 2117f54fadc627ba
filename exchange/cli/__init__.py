"""The commands: each one parses, asks the node or works on this machine's files, and prints.

The program:

- ``main``: the entry point, light; ``program``: the table of commands, and one way to fail
- ``exits``: what exit codes mean; ``output``: JSON or text, never mixed
- ``render``: views as text
- ``words``: lengths of time, states and labels as people write them
- ``filling``: what is known here, filled into the commands that messages tell to type

Commands that ask a node:

- ``command``: their common options; ``client``: the local interface from this side
- ``send``, with ``drafting`` (files and flags become a request), ``pending`` (ids that outlive the
  command), ``rehearsing`` (``--dry-run``) and ``waiting`` (``--wait``)
- ``notices``: ``inbox``, ``outbox``, ``show``, with ``saving`` for attachments; ``answering``: ``ack``
- ``following``: ``status``, ``watch``; ``looking``: ``members``, ``severity``, ``health``
- ``proving``: ``proof``, ``ledger``; ``disclosing``: ``disclose``
- ``explaining``: ``help``, ``config``

Commands that work on this machine:

- ``local``: their common options; ``setup``: ``governance``, ``coordinator``; ``setup_node``: ``node``,
  ``officer``; ``reaching``: a node that runs, from such a command; ``succeeding``: the next identity key;
  ``attesting``: another's key confirmed; ``setup_ledger``: a coordinator's anchor and auditors;
  ``renewing``: its next keys; ``coordinating``: its processes; ``taking``: ``node community``,
  ``governance take``; ``showing_setup``: a community and a proposal in words
- ``proposing``: ``governance propose``; ``governing``: ``governance sign``, ``publish`` and their like
- ``comparing``: fingerprints shown and compared, and a request seen again
- ``keys``: ``key``, with ``key_views`` (list, check, export) and ``rotating``; ``seeing_tokens``: what is
  plugged in; ``compromise``: a key ended, and what it touched
- ``tokens``: programs and displays let in; ``storing``: ``coordinator migrate``; ``backing_up``: ``backup``,
  ``restore``; ``reconciling``: a restored node goes on; ``examining``: ``doctor``
- ``auditing``: ``audit``, with ``root_hash`` (the one that is given), ``exporting`` (as whom the ledger is
  read), ``showing_audit`` (a verdict as text) and ``audit_report``
"""
