"""What the project is built from, checked: the lock of its dependencies, known vulnerabilities, leaked secrets."""
