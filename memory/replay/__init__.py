"""Every step of a life: the table, what is drawn from it, and how."""
