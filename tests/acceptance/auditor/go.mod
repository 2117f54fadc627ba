module almenara-auditor

go 1.27
