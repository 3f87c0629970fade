"""Pictures of an animated rig: frames spread over an Action, from one camera that sees the whole way."""

from __future__ import annotations

import math
from pathlib import Path

import bpy
import numpy as np
from mathutils import Euler, Vector

from . import files
from .deform import deform_bones
from .errors import AddonError

TILE = 0.5
"""Side of the floor's tiles in m; ten times as much on where there would be very many."""
CAMERA_TURN = Euler((math.radians(80), 0, math.radians(25)))
"""The camera stands in front of the character (which faces −Y), a little to its left and above."""
CYCLES_SAMPLES = 12


def render(blend: str, folder: str, action: str | None = None, count: int = 8, size: tuple[int, int] = (320, 400),
           engine: str = "BLENDER_WORKBENCH") -> dict:
    """Render `count` frames of an Action of the rig in `blend` as folder/NNNN.png (NNNN: the scene's frame).

    engine: BLENDER_WORKBENCH (needs OpenGL or EGL) or CYCLES (any machine, slower).
    """
    files.open_rig(Path(blend))
    armature = _performer(Path(blend), action)
    start, end = armature.animation_data.action.frame_range
    frames = [round(frame) for frame in np.linspace(start, end, max(count, 1))]
    if not _skins(armature):
        _sticks(armature)
    corners = np.concatenate([_corners(armature, frame) for frame in frames])
    _floor(corners)
    scene = bpy.context.scene
    scene.camera = _camera(corners, size)
    _style(scene, engine, size)
    for frame in frames:
        scene.frame_set(frame)
        scene.render.filepath = str(Path(folder) / f"{frame:04d}.png")
        bpy.ops.render.render(write_still=True)
    return {"frames": frames, "fps": scene.render.fps / scene.render.fps_base,
            "action": armature.animation_data.action.name}


def _performer(path: Path, action: str | None) -> bpy.types.Object:
    """Return the armature that plays, with the Action of this name assigned if one is given."""
    armature = files.find_armature(path)
    animation = armature.animation_data_create()
    if action:
        if action not in bpy.data.actions:
            names = ", ".join(a.name for a in bpy.data.actions) or "none"
            raise AddonError(f"'{path}' has no Action '{action}'. Actions: {names}.")
        animation.action = bpy.data.actions[action]
        if hasattr(animation, "action_slot") and not animation.action_slot and animation.action.slots:
            animation.action_slot = animation.action.slots[0]
    if not animation.action:
        raise AddonError(f"The armature of '{path}' plays no Action. Name one.")
    return armature


def _corners(armature: bpy.types.Object, frame: int) -> np.ndarray:
    """Return points around the rig and its skin at a frame, in the world, (N, 3) m."""
    bpy.context.scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    points = [armature.matrix_world @ bone.head for bone in armature.evaluated_get(graph).pose.bones]
    for skin in _skins(armature):
        evaluated = skin.evaluated_get(graph)
        points += [evaluated.matrix_world @ Vector(corner) for corner in evaluated.bound_box]
    return np.array(points)


def _skins(armature: bpy.types.Object) -> list[bpy.types.Object]:
    """Return the visible meshes that the armature moves."""
    return [thing for thing in bpy.context.scene.objects if thing.type == "MESH" and thing.visible_get()
            and armature in (thing.find_armature(), thing.parent)]


def _sticks(armature: bpy.types.Object) -> None:
    """Give a rig without a skin something to be seen by: a spindle along each deform bone."""
    for bone in (armature.data.bones[name] for name in deform_bones(armature)):
        length, wide, up = bone.length, bone.length / 8, bone.length / 7
        mesh = bpy.data.meshes.new("Stick")
        ring = [(wide, up, 0), (0, up, wide), (-wide, up, 0), (0, up, -wide)]
        mesh.from_pydata([(0, 0, 0), (0, length, 0), *ring], [],
                         [(end, 2 + i, 2 + (i + 1) % 4) for i in range(4) for end in (0, 1)])
        stick = bpy.data.objects.new("Stick", mesh)
        stick.parent, stick.parent_type, stick.parent_bone = armature, "BONE", bone.name
        stick.location = (0, -length, 0)  # a child of a bone starts at its tail
        bpy.context.scene.collection.objects.link(stick)


def _floor(corners: np.ndarray) -> None:
    """Lay a chequered floor at z = 0 under all the corners."""
    extent = max(np.ptp(corners, axis=0).max(), TILE)
    tile = TILE * 10.0 ** max(0, math.ceil(math.log10(extent / TILE)) - 2)
    low = np.floor(corners.min(axis=0)[:2] / tile).astype(int) - 2
    high = np.ceil(corners.max(axis=0)[:2] / tile).astype(int) + 2
    columns, rows = (high - low).tolist()
    grid = [((low[0] + x) * tile, (low[1] + y) * tile, 0.0) for y in range(rows + 1) for x in range(columns + 1)]
    faces = [[(a := y * (columns + 1) + x), a + 1, a + columns + 2, a + columns + 1]
             for y in range(rows) for x in range(columns)]
    mesh = bpy.data.meshes.new("Floor")
    mesh.from_pydata(grid, [], faces)
    for shade in (0.32, 0.4):
        material = bpy.data.materials.new("Floor")
        material.diffuse_color = (shade, shade, shade, 1.0)
        mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", [(x + y) % 2 for y in range(rows) for x in range(columns)])
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("Floor", mesh))


def _camera(corners: np.ndarray, size: tuple[int, int]) -> bpy.types.Object:
    """Place a camera that sees all the corners with a margin."""
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.collection.objects.link(camera)
    camera.rotation_euler = CAMERA_TURN
    camera.data.lens = 60
    bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y = size
    bpy.context.view_layer.update()
    middle = corners.mean(axis=0)
    wide = (middle + 1.1 * (corners - middle)).ravel().tolist()
    camera.location, _ = camera.camera_fit_coords(bpy.context.evaluated_depsgraph_get(), wide)
    camera.data.clip_end = 1000
    return camera


def _style(scene: bpy.types.Scene, engine: str, size: tuple[int, int]) -> None:
    """Choose a plain, bright look that needs no lights in the file."""
    scene.render.engine = engine
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "Standard"
    scene.display.render_aa = "5"  # eight samples cost twice the time without a GPU
    shading = scene.display.shading
    shading.light, shading.color_type, shading.show_shadows = "STUDIO", "TEXTURE", True
    shading.background_type, shading.background_color = "VIEWPORT", (0.75, 0.78, 0.82)
    world = scene.world = bpy.data.worlds.new("Preview")
    world.color = (0.6, 0.62, 0.66)
    if engine != "CYCLES":
        return
    scene.cycles.samples, scene.cycles.use_denoising = CYCLES_SAMPLES, False
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3.0, Euler((0.6, 0.3, 0.2))
    scene.collection.objects.link(sun)
