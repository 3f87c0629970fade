"""PyBullet behind the Engine interface: one character per world, its motors' torques from stable_pd.py.

The only module that imports pybullet.
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
from sfv_core.character.character import Character, Link
from sfv_core.character.urdf import urdf
from sfv_core.errors import SfvError
from sfv_core.physics.engine import PHYSICS_RATE, Conditions, State, local_motion, root_velocity
from sfv_core.physics.stable_pd import Response, StablePd

SOLVER_ITERATIONS = 10
REFRESH = 8
"""Steps after which a body's inertia is found anew for its motors, counted from its reset."""
_CHARACTER, _GROUND = 0, 1
"""PyBullet's numbers of the bodies in every world."""


@contextmanager
def silence() -> Iterator[None]:
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
        with silence():
            import pybullet
    except ImportError as error:
        raise SfvError("PyBullet is not installed. Install the extra: pip install 'sfv[physics]'.") from error
    return pybullet


class _World:
    """One character on the ground, and PyBullet's functions bound to it."""

    def __init__(self, bullet: Any, path: Path, links: list[Link], joints: list[int], conditions: Conditions) -> None:
        """Load the URDF; `joints` are the links with motors, in the order that commands have."""
        self._bullet = bullet
        self.client = bullet.connect(bullet.DIRECT)
        if self.client < 0:
            raise SfvError("PyBullet cannot make more worlds in one process; use fewer worlds per process.")
        self._load(path, len(links), conditions)
        self._free_motors([links[i] for i in joints], joints)
        here = {"physicsClientId": self.client}
        self.pull = partial(bullet.setJointMotorControlMultiDofArray, _CHARACTER, joints, bullet.TORQUE_CONTROL, **here)
        self.joint_states = partial(bullet.getJointStatesMultiDof, _CHARACTER, joints, **here)
        self.simulate = partial(bullet.stepSimulation, **here)
        self.link_states = partial(bullet.getLinkStates, _CHARACTER, list(range(len(links))), computeLinkVelocity=True,
                                   computeForwardKinematics=True, **here)
        self.put_root = partial(bullet.resetBasePositionAndOrientation, _CHARACTER, **here)
        self.move_root = partial(bullet.resetBaseVelocity, _CHARACTER, **here)
        self.put_joints = partial(bullet.resetJointStatesMultiDof, _CHARACTER, joints, **here)
        self.push = partial(bullet.applyExternalForce, _CHARACTER, flags=bullet.WORLD_FRAME, **here)
        self.contact_points = partial(bullet.getContactPoints, bodyA=_CHARACTER, bodyB=_GROUND, **here)

    def _load(self, path: Path, links: int, conditions: Conditions) -> None:
        bullet, here = self._bullet, {"physicsClientId": self.client}
        flags = (bullet.URDF_MAINTAIN_LINK_ORDER | bullet.URDF_USE_SELF_COLLISION
                 | bullet.URDF_USE_SELF_COLLISION_EXCLUDE_ALL_PARENTS | bullet.URDF_USE_INERTIA_FROM_FILE)
        friction = float(np.sqrt(conditions.friction))  # two surfaces that touch multiply theirs
        bullet.loadURDF(str(path), [0, 0, 2], flags=flags, **here)
        bullet.createMultiBody(0, bullet.createCollisionShape(bullet.GEOM_PLANE, **here), **here)
        bullet.setGravity(*conditions.gravity, **here)
        bullet.setTimeStep(1 / PHYSICS_RATE, **here)
        bullet.setPhysicsEngineParameter(numSolverIterations=SOLVER_ITERATIONS, numSubSteps=1, **here)
        bullet.changeDynamics(_GROUND, -1, lateralFriction=friction, **here)
        for link in range(-1, links):
            bullet.changeDynamics(_CHARACTER, link, lateralFriction=friction, **here)
        # In a call of its own: one that sets damping too leaves a link's friction as it was.
        bullet.changeDynamics(_CHARACTER, -1, linearDamping=0, angularDamping=0, **here)

    def _free_motors(self, links: list[Link], joints: list[int]) -> None:
        """Switch PyBullet's own joint motors off, which brake a joint unless they are told not to."""
        bullet, here = self._bullet, {"physicsClientId": self.client}
        for link, joint in zip(links, joints, strict=True):
            if link.joint == "ball":
                bullet.setJointMotorControlMultiDof(
                    _CHARACTER, joint, bullet.POSITION_CONTROL, targetPosition=[0, 0, 0, 1], targetVelocity=[0, 0, 0],
                    positionGain=0, velocityGain=1, force=[0, 0, 0], **here)
            else:
                bullet.setJointMotorControl2(_CHARACTER, joint, bullet.VELOCITY_CONTROL, force=0, **here)

    def close(self) -> None:
        self._bullet.disconnect(physicsClientId=self.client)


class PyBullet:
    """N worlds in this process."""

    def __init__(self, character: Character, worlds: int, conditions: Conditions | None = None) -> None:
        """Make the worlds."""
        self.character, self.worlds = character, worlds
        self._conditions = conditions or Conditions()
        self._bullet = _import()
        self._joints = [*character.balls.tolist(), *character.hinges.tolist()]
        self._frames = _frames(character)
        self._to_frames = rotation.inverse(self._frames)
        inertias = _inertias(character)
        self._urdf = urdf(character, self._frames, inertias)
        axes = rotation.to_matrix(self._frames).swapaxes(-1, -2)
        axes = np.concatenate([*axes[character.balls], axes[character.hinges, 2]])
        self._motors = StablePd(character, axes, inertias)
        self._foreign = np.zeros((worlds, character.coordinates))
        """Acceleration of each coordinate in the last step beside what the motors brought, in rad/s²."""
        size = (worlds, character.coordinates, character.coordinates)
        self._response = Response(np.zeros(size), np.zeros(size))
        self._age = np.zeros(worlds, int)
        """Steps since the last reset."""
        self._state = np.zeros((worlds, len(character.links), 13))
        self._worlds: list[_World] = self._make(worlds)
        for i in range(worlds):
            self._read(i)

    def _make(self, count: int) -> list[_World]:
        with tempfile.TemporaryDirectory() as folder, silence():
            path = Path(folder) / "character.urdf"
            path.write_text(self._urdf, encoding="utf-8")
            return [_World(self._bullet, path, list(self.character.links), self._joints, self._conditions)
                    for _ in range(count)]

    def reset(self, ids: np.ndarray, state: State) -> None:
        """Put the characters of the worlds `ids` (K,) into a state (K, …).

        A world that holds values that are not numbers is made anew: its solver would remember them.
        """
        for i in ids[~self.read()[ids].finite()]:
            self._worlds[i].close()
            self._worlds[i] = self._make(1)[0]
        character, balls = self.character, len(self.character.balls)
        local, spins = local_motion(character, state)
        turns, angles = self._split(character.to_coordinates(local))
        spins = rotation.rotate(self._to_frames, spins)[:, self._joints]
        velocity = root_velocity(character, state)
        turn = rotation.xyzw_from_wxyz(state.rotations[:, 0])
        self._foreign[ids], self._age[ids] = 0.0, 0
        for k, i in enumerate(ids):
            world = self._worlds[i]
            world.put_root(state.positions[k, 0].tolist(), turn[k].tolist())
            world.move_root(velocity[k].tolist(), state.spins[k, 0].tolist())
            world.put_joints([*turns[k].tolist(), *angles[k].tolist()],
                             [*spins[k, :balls].tolist(), *spins[k, balls:, 2:].tolist()])
            self._read(i)

    def step(self, targets: np.ndarray, substeps: int, ids: np.ndarray | None = None,
             forces: np.ndarray | None = None) -> None:
        """Simulate the worlds `ids` (all if not given) while PD controllers pull the joints to targets (N, C) rad.

        forces: (N, L, 3) N in the world on the links' centres of mass, all the while.
        """
        ids = np.arange(self.worlds) if ids is None else np.asarray(ids)
        ids = ids[self.read()[ids].finite()]
        if not len(ids):
            return
        worlds = [self._worlds[i] for i in ids]
        goals, angles = self._split(targets[ids])
        goals, angles = rotation.wxyz_from_xyzw(goals), angles[..., 0]
        pushed = [] if forces is None else [(i, int(link), forces[i, link]) for i in ids
                                           for link in np.flatnonzero(forces[i].any(axis=1))]
        turns, bends, rates = self._joint_states(worlds)
        response = self._response[ids]
        for step in range(substeps):
            due = ids[self._age[ids] % REFRESH == 0]
            if len(due):
                self._refresh(due, again=step > 0)
                response = self._response[ids]
            away = rotation.to_rotvec(rotation.multiply(rotation.inverse(turns), goals))
            errors = np.concatenate([away.reshape(len(ids), -1), angles - bends], axis=1)
            torques, brought = self._motors.torques(errors, rates, self._foreign[ids], response)
            for world, row in zip(worlds, self._rows(torques), strict=True):
                world.pull(forces=row)
            for i, link, force in pushed:
                self._push(i, link, force)
            for world in worlds:
                world.simulate()
            before = rates
            turns, bends, rates = self._joint_states(worlds)
            self._foreign[ids] = PHYSICS_RATE * (rates - before) - brought
            self._age[ids] += 1
        for i in ids:
            self._read(i)

    def _refresh(self, ids: np.ndarray, again: bool) -> None:
        """Find anew how the bodies of the worlds `ids` answer to torques; `again`: where they are now was not read."""
        for i in ids if again else ():
            self._read(i)
        found = self._motors.response(self.read()[ids])
        self._response.free[ids], self._response.damped[ids] = found.free, found.damped

    def _joint_states(self, worlds: list[_World]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the balls' rotations (K, B, 4), the hinges' angles (K, H) and all velocities (K, C) of some worlds."""
        balls, count = 7 * len(self.character.balls), len(worlds)
        values = np.array([value for world in worlds for place, rate, *_ in world.joint_states()
                           for value in place + rate]).reshape(count, -1)
        turns, bends = values[:, :balls].reshape(count, -1, 7), values[:, balls:].reshape(count, -1, 2)
        rates = np.concatenate([turns[..., 4:].reshape(count, -1), bends[..., 1]], axis=1)
        return rotation.wxyz_from_xyzw(turns[..., :4]), bends[..., 0], rates

    def _rows(self, torques: np.ndarray) -> list[list[list[float]]]:
        """Return torques (K, C) as PyBullet takes them: of each world a list for each joint."""
        balls = len(self.character.balls)
        threes = torques[:, : 3 * balls].reshape(len(torques), balls, 3).tolist()
        ones = torques[:, 3 * balls :, None].tolist()
        return [three + one for three, one in zip(threes, ones, strict=True)]

    def _push(self, i: int, link: int, force: np.ndarray) -> None:
        """Let a force act on a link's centre of mass during the next step."""
        self._read(i)
        place, turn = self._state[i, link, :3], rotation.wxyz_from_xyzw(self._state[i, link, 3:7])
        turn = rotation.multiply(turn, self._to_frames[link])
        centre = place + rotation.rotate(turn, self.character.centres[link])
        self._worlds[i].push(linkIndex=link, forceObj=force.tolist(), posObj=centre.tolist())

    def _split(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn joint coordinates (N, C) into PyBullet's: (N, B, 4) xyzw of the balls, (N, H, 1) rad of the hinges."""
        split = 3 * len(self.character.balls)
        vectors = coordinates[:, :split].reshape(len(coordinates), -1, 3)
        own = rotation.rotate(self._to_frames[self.character.balls], vectors)
        return rotation.xyzw_from_wxyz(rotation.from_rotvec(own)), coordinates[:, split:, None]

    def _read(self, i: int) -> None:
        """Take over the state of one world."""
        self._state[i] = [row[4] + row[5] + row[6] + row[7] for row in self._worlds[i].link_states()]

    def read(self) -> State:
        """Return the state of all worlds; a copy."""
        state = self._state.copy()
        rotations = rotation.multiply(rotation.wxyz_from_xyzw(state[..., 3:7]), self._to_frames)
        return State(state[..., :3], rotations, state[..., 7:10], state[..., 10:])

    def contacts(self) -> np.ndarray:
        """Tell which links touch the ground, bool of shape (N, L)."""
        touching = np.zeros((self.worlds, len(self.character.links)), bool)
        for i, world in enumerate(self._worlds):
            touching[i, [point[3] for point in world.contact_points()]] = True
        return touching

    def close(self) -> None:
        """Free the worlds."""
        for world in self._worlds:
            world.close()
        self._worlds = []


def _inertias(character: Character) -> np.ndarray:
    """Return the inertia of each link, (L, 3, 3), and of its motor where nothing hangs on a ball joint's link.

    Bullet's joints have no armature. That of a limb's last ball joint acts like inertia of the link that it turns, and
    is worth having: at an ankle it is 25 times the foot's own. See docs/decisions/021.
    """
    inertias = character.inertias.copy()
    for i in set(character.balls.tolist()) - set(character.parents.tolist()):
        inertias[i] += character.links[i].armature * np.eye(3)
    return inertias


def _frames(character: Character) -> np.ndarray:
    """Return the rotation of each link's frame in PyBullet in the character's, (L, 4).

    Limbs lie along y and hinges turn about z: Bullet turns the frame of a ball joint's link along its principal axes
    unless they are its axes.
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
