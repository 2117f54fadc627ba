"""Says the words: time, disk and network.

The two services, and what both stand on:

- ``node``: a state's own end; ``coordinator``: the relay between them; neither knows the other
- ``unsealer``: a node's second process, which alone holds its opening keys
- ``link``: TLS and WebSocket round a session; ``stores``: what is durable, and when
- ``severity``: the scales that come along, and the reader of the files they are written in

Their faces, and how they come to be:

- ``audit``: an auditor's bundle, its verifier and its report
- ``api``: a node's local HTTP interface; ``cli``: the command; ``serve``: running a service
- ``setup``: governance, enrolment and set-up, step by step; ``demo``: the story that shows it all
- ``hammer``: an honest load on a test community
- ``backup``: made, checked and restored; ``restored``: that a place was; ``doctor``: what is wrong with one

What everything shares:

- ``clock``: the only reader of time; ``telemetry``: the log, into which no secret fits
- ``settings``: what an operator can set; ``configuration``: where each value came from
- ``datadir``: what lies where, and that one process owns it; ``pinned_root``: the root hash in it
- ``safe``: text from elsewhere that may be read and may not act
- ``keystore``: secret files; ``unlocking``: opening those that hold keys; ``hsm``: keys in tokens (PKCS#11)
- ``passphrases``: where a passphrase may come from; ``tokens``: who may ask
- ``fingerprints``: what people compare, as text, words and a QR code
- ``expiries``: what of a community ends, and when to say so; ``version``: the program's own
"""
