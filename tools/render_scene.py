"""Render a posed body in Cycles: runs in Blender or in a Python with bpy, never in the backend.

    python render_scene.py -- SCENE.npz FOLDER

SCENE.npz holds vertices (T, V, 3) in m, faces (F, 3), materials (F,), colours (M, 3) and ground (3,) linear RGB, sun
(3,) Euler angles in rad, focal in px, size in px, rotation (3, 3) from OpenCV's camera axes to the world's, position
(3,), and samples per pixel. FOLDER receives 0000.png and so on; each is reported on standard output as "frame N".
"""

from __future__ import annotations

import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix


def main() -> None:
    """Render every frame of the scene."""
    scene_file, folder = sys.argv[sys.argv.index("--") + 1 :]
    with np.load(scene_file, allow_pickle=False) as data:
        scene = {key: data[key] for key in data.files}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    _light_and_ground(scene["sun"].tolist(), tuple(scene["ground"].tolist()))
    _camera(scene)
    _settings(int(scene["size"]), int(scene["samples"]))
    mesh = _body(scene)
    for frame, vertices in enumerate(scene["vertices"]):
        mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
        mesh.update()
        bpy.context.scene.render.filepath = str(Path(folder) / f"{frame:04d}.png")
        bpy.ops.render.render(write_still=True)
        print(f"frame {frame + 1}", flush=True)


def _material(name: str, colour: tuple[float, ...], roughness: float = 0.75) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    surface = material.node_tree.nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*colour, 1.0)
    surface.inputs["Roughness"].default_value = roughness
    return material


def _light_and_ground(angles: list[float], colour: tuple[float, ...]) -> None:
    world = bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
    world.use_nodes = True
    sky = world.node_tree.nodes["Background"]
    sky.inputs["Color"].default_value = (0.75, 0.80, 0.90, 1.0)
    sky.inputs["Strength"].default_value = 0.6
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle = 3.0, 0.05
    lamp = bpy.data.objects.new("sun", sun)
    lamp.rotation_euler = angles
    bpy.context.scene.collection.objects.link(lamp)
    plane = bpy.data.meshes.new("ground")
    plane.from_pydata([(-50, -50, 0), (50, -50, 0), (50, 50, 0), (-50, 50, 0)], [], [(0, 1, 2, 3)])
    plane.materials.append(_material("ground", colour))
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("ground", plane))


def _camera(scene: dict[str, np.ndarray]) -> None:
    lens = bpy.data.cameras.new("camera")
    lens.sensor_width = 36.0
    lens.lens = 36.0 * float(scene["focal"]) / float(scene["size"])
    camera = bpy.data.objects.new("camera", lens)
    turn = scene["rotation"] @ np.diag([1.0, -1.0, -1.0])  # Blender's camera looks along −z with y up
    camera.matrix_world = Matrix.Translation(scene["position"].tolist()) @ Matrix(turn.tolist()).to_4x4()
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera


def _settings(size: int, samples: int) -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.seed = 0
    scene.cycles.max_bounces = 2
    scene.cycles.use_denoising = False
    scene.render.threads_mode = "FIXED"
    scene.render.threads = 2
    scene.render.use_persistent_data = True
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.image_settings.file_format = "PNG"


def _body(scene: dict[str, np.ndarray]) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new("body")
    mesh.from_pydata(scene["vertices"][0].tolist(), [], scene["faces"].tolist())
    for number, colour in enumerate(scene["colours"].tolist()):
        mesh.materials.append(_material(f"material {number}", tuple(colour)))
    mesh.polygons.foreach_set("material_index", scene["materials"].astype(np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    mesh.update()
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("body", mesh))
    return mesh


main()
