"""stub"""
def install_pool() -> None:
    """stub"""
