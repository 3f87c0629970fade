"""SFV in Blender."""


def register():
    pass


def unregister():
    pass
