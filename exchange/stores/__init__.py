"""What is on disk: the engine that makes it durable, its migrations, and the stores of node and coordinator."""
