"""Where the backend is: this user's preferences."""

import bpy

from . import tracking
from .backend import Access


class SFV_AP_preferences(bpy.types.AddonPreferences):
    """Where the backend is."""

    bl_idname = __package__

    python: bpy.props.StringProperty(
        name="Backend's Python", subtype="FILE_PATH",
        description="Python in which the backend is installed; empty: SFV_PYTHON, or the 'sfv' command on PATH")
    url: bpy.props.StringProperty(
        name="Address", description="Address of a backend that runs elsewhere, such as http://127.0.0.1:8000 through "
                                    "an ssh tunnel; empty: the one on this machine")
    token: bpy.props.StringProperty(name="Token", subtype="PASSWORD",
                                    description="The token in that backend's server.json")

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "python")
        column = layout.column(heading="Another Machine")
        column.prop(self, "url")
        column.prop(self, "token")
        row = layout.row()
        row.label(text=tracking.backend.text)
        row.operator("sfv.test_backend", text="Test")
        row.operator("sfv.start_backend")


def access() -> Access:
    """Read the preferences; call it on the main thread."""
    chosen = bpy.context.preferences.addons[__package__].preferences
    return Access(chosen.url.strip(), chosen.token.strip(), bpy.path.abspath(chosen.python), bpy.app.online_access)


def register() -> None:
    bpy.utils.register_class(SFV_AP_preferences)


def unregister() -> None:
    bpy.utils.unregister_class(SFV_AP_preferences)
