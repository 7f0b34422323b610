"""Reading, checking, conforming and saving volumes."""
