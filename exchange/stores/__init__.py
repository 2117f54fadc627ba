"""What is on disk: the engine that makes it durable, its migrations, and what each side stores."""
