"""The only sockets, files, sleeps and processes: implementations of the ports."""
