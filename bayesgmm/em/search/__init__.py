"""Where EM starts, and how it goes on from an optimum to a better one."""
