class DirectAgent:
    pass
