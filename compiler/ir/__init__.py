"""The language of networks: typed functions of equations, with regions, calls and symbolic sizes."""
