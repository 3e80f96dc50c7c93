"""What each integer operator becomes on the accelerator: tensor expressions in its layouts and a schedule."""
