"""PyBullet behind the Engine interface: one character per world, stable PD control computed in C.

The only module that imports pybullet. Source of the control: Tan et al., "Stable Proportional-Derivative
Controllers", 2011.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character
from sfv_core.character.urdf import urdf
from sfv_core.errors import SfvError
from sfv_core.physics.engine import PHYSICS_RATE, State, local_motion

GRAVITY = 9.8
"""In m/s²."""
FRICTION = 0.9
SOLVER_ITERATIONS = 10


@contextmanager
def _silent() -> Iterator[None]:
    """Send what C code prints to nowhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        for number, handle in zip((1, 2), saved, strict=True):
            os.dup2(handle, number)
            os.close(handle)
        os.close(nowhere)


def _import() -> Any:
    try:
        with _silent():
            import pybullet
    except ImportError as error:
        raise SfvError("PyBullet is not installed. Install the extra: pip install 'sfv[physics]'.") from error
    return pybullet


class PyBullet:
    """N worlds in this process."""

    def __init__(self, character: Character, worlds: int) -> None:
        """Make the worlds."""
        self.character = character
        self.worlds = worlds
        self._bullet = _import()
        self._links = list(range(len(character.links)))
        self._jointed = [*character.balls.tolist(), *character.hinges.tolist()]
        self._frames = _frames(character)
        self._from_frames = rotation.inverse(self._frames)
        self._fill_controller()
        self._state = np.zeros((worlds, len(self._links), 13))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "character.urdf"
            path.write_text(urdf(character, self._frames), encoding="utf-8")
            with _silent():
                self._clients = [self._world(path) for _ in range(worlds)]
        bullet = self._bullet
        self._control = [partial(bullet.setJointMotorControlMultiDofArray, 0, self._jointed,
                                 bullet.STABLE_PD_CONTROL, physicsClientId=client, **self._controller)
                         for client in self._clients]
        self._simulate = [partial(bullet.stepSimulation, physicsClientId=client) for client in self._clients]
        self._link_states = [partial(bullet.getLinkStates, 0, self._links, computeLinkVelocity=True,
                                     computeForwardKinematics=True, physicsClientId=client)
                             for client in self._clients]
        for i in range(worlds):
            self._read(i)

    def _fill_controller(self) -> None:
        """Collect the gains, limits and zero velocities of all joints as the lists that PyBullet takes."""
        links = [self.character.links[i] for i in self._jointed]
        self._sizes = [3 if link.joint == "ball" else 1 for link in links]
        self._controller = {
            "targetVelocities": [[0.0] * size for size in self._sizes],
            "forces": [[link.torque] * size for link, size in zip(links, self._sizes, strict=True)],
            "positionGains": [link.stiffness for link in links],
            "velocityGains": [link.damping for link in links],
        }

    def _world(self, path: Path) -> int:
        """Make one world with ground and character; the character is body 0."""
        bullet = self._bullet
        client = bullet.connect(bullet.DIRECT)
        if client < 0:
            raise SfvError(f"PyBullet could not make world {len(self._links)}; use fewer worlds per process.")
        at = {"physicsClientId": client}
        flags = (bullet.URDF_MAINTAIN_LINK_ORDER | bullet.URDF_USE_SELF_COLLISION
                 | bullet.URDF_USE_SELF_COLLISION_EXCLUDE_ALL_PARENTS | bullet.URDF_USE_INERTIA_FROM_FILE)
        body = bullet.loadURDF(str(path), [0, 0, 2], flags=flags, **at)
        plane = bullet.createMultiBody(0, bullet.createCollisionShape(bullet.GEOM_PLANE, **at), **at)
        bullet.setGravity(0, 0, -GRAVITY, **at)
        bullet.setTimeStep(1 / PHYSICS_RATE, **at)
        bullet.setPhysicsEngineParameter(numSolverIterations=SOLVER_ITERATIONS, numSubSteps=1, **at)
        bullet.changeDynamics(plane, -1, lateralFriction=FRICTION, **at)
        for link in range(-1, len(self._links)):
            bullet.changeDynamics(body, link, lateralFriction=FRICTION, linearDamping=0, angularDamping=0, **at)
        for link, size in zip(self._jointed, self._sizes, strict=True):
            if size == 3:
                bullet.setJointMotorControlMultiDof(body, link, bullet.POSITION_CONTROL, targetPosition=[0, 0, 0, 1],
                                                    targetVelocity=[0, 0, 0], positionGain=0, velocityGain=1,
                                                    force=[0, 0, 0], **at)
            else:
                bullet.setJointMotorControl2(body, link, bullet.VELOCITY_CONTROL, force=0, **at)
        return client

    def reset(self, ids: np.ndarray, state: State) -> None:
        """Put the characters of the worlds `ids` (K,) into a state (K, …)."""
        bullet, character = self._bullet, self.character
        jointed, balls = self._jointed, len(character.balls)
        local, spins = local_motion(character, state)
        turns, angles = self._split(character.to_coordinates(local))
        local_spins = rotation.rotate(rotation.inverse(self._frames), spins)[:, jointed]
        speeds = local_spins[:, balls:, 2]
        root_rotation = rotation.xyzw_from_wxyz(state.rotations[:, 0])
        arm = rotation.rotate(state.rotations[:, 0], character.centres[0])
        root_velocity = state.velocities[:, 0] - np.cross(state.spins[:, 0], arm)
        for k, i in enumerate(ids):
            client = self._clients[i]
            bullet.resetBasePositionAndOrientation(0, state.positions[k, 0].tolist(), root_rotation[k].tolist(),
                                                   physicsClientId=client)
            bullet.resetBaseVelocity(0, root_velocity[k].tolist(), state.spins[k, 0].tolist(), physicsClientId=client)
            bullet.resetJointStatesMultiDof(0, jointed, [*turns[k].tolist(), *angles[k].tolist()],
                                            [*local_spins[k, :balls].tolist(), *speeds[k, :, None].tolist()],
                                            physicsClientId=client)
            self._read(i)

    def step(self, targets: np.ndarray, substeps: int, ids: np.ndarray | None = None) -> None:
        """Simulate the worlds `ids` (all if not given) while PD controllers pull the joints to targets (N, C) rad."""
        turns, angles = self._split(targets)
        balls, hinges = turns.tolist(), angles.tolist()
        for i in range(self.worlds) if ids is None else ids:
            positions = [*balls[i], *hinges[i]]
            control, simulate = self._control[i], self._simulate[i]
            for _ in range(substeps):
                control(targetPositions=positions)
                simulate()
            self._read(i)

    def _split(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn joint coordinates (N, C) into PyBullet's: (N, B, 4) xyzw of the balls, (N, H, 1) rad of the hinges."""
        split = 3 * len(self.character.balls)
        vectors = coordinates[:, :split].reshape(len(coordinates), -1, 3)
        own = rotation.rotate(rotation.inverse(self._frames[self.character.balls]), vectors)
        return rotation.xyzw_from_wxyz(rotation.from_rotvec(own)), coordinates[:, split:, None]

    def _read(self, i: int) -> None:
        """Take over the state of one world."""
        self._state[i] = [row[4] + row[5] + row[6] + row[7] for row in self._link_states[i]()]

    def read(self) -> State:
        """Return the state of all worlds; a copy."""
        rotations = rotation.multiply(rotation.wxyz_from_xyzw(self._state[..., 3:7]), self._from_frames)
        return State(self._state[..., :3].copy(), rotations, self._state[..., 7:10].copy(), self._state[..., 10:].copy())

    def contacts(self) -> np.ndarray:
        """Tell which links touch the ground, bool of shape (N, L)."""
        touching = np.zeros((self.worlds, len(self._links)), bool)
        for i, client in enumerate(self._clients):
            for point in self._bullet.getContactPoints(bodyA=0, bodyB=1, physicsClientId=client):
                if point[3] >= 0:
                    touching[i, point[3]] = True
        return touching

    def close(self) -> None:
        """Free the worlds."""
        for client in self._clients:
            self._bullet.disconnect(physicsClientId=client)
        self._clients = []


def _frames(character: Character) -> np.ndarray:
    """Return the rotation of each link's frame in PyBullet in the character's, (L, 4).

    PyBullet's stable PD comes from DeepMimic and, for its own mass matrix, takes limbs to lie along y and hinges to
    turn about z (BulletConversion.cpp and KinTree.cpp in its examples).
    """
    frames = np.empty((len(character.links), 3, 3))
    for i, link in enumerate(character.links):
        hinge = next((other for other in (link, *character.links)
                      if other.joint == "hinge" and (other is link or other.parent == i)), None)
        if hinge is None:
            y, z = np.array([0.0, 0.0, 1.0]), np.array([1.0 if link.shapes[0].kind == "box" else -1.0, 0.0, 0.0])
        else:
            y, z = -np.array(hinge.shapes[0].direction), np.array(hinge.axis)
        frames[i] = np.stack([np.cross(y, z), y, z], axis=-1)
    return rotation.from_matrix(frames)
