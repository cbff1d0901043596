"""Connection of the parameter table to a node: the only module that calls the parameter API."""

from __future__ import annotations

from typing import Any

from mafs_model.errors import ConfigError
from mafs_ros.parameters import BY_NAME, Parameter, Settings, SettingsBox, TABLE
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
import rclpy.node
import rclpy.parameter

# Parameters that rclpy or launch declare by themselves.
_FOREIGN = ('use_sim_time', 'start_type_description_service', 'qos_overrides')


class ParameterHandler:
    """
    Declares all parameters, refuses bad values and keeps the `SettingsBox` up to date.

    The parameters are declared with dynamic types, because rclpy would otherwise answer a value
    of a wrong type itself, without saying the name, the value and what is expected, and would
    end the node where that value comes from a file. Here a wrong value from a file is found in
    configure, and a wrong update is refused.

    Threads: the callback, `load` and `refresh` run in the node's default callback group, one at
    a time.

    Args:
        node: the node whose parameters they are.

    Attributes:
        settings: what is in force; the defaults until `load`.
        locked: True while configured: what needs a reload is refused.

    """

    def __init__(self, node: rclpy.node.Node) -> None:
        self._node = node
        self._changed = False
        self.locked = False
        self._exempt = ''
        self.settings = SettingsBox(Settings.from_values({}))
        for row in TABLE:
            default = list(row.default) if isinstance(row.default, tuple) else row.default
            declared = node.declare_parameter(row.name, default, _descriptor(row))
            node.set_parameters([_normalised(declared)])
        if hasattr(node, 'add_pre_set_parameters_callback'):  # not in Humble
            node.add_pre_set_parameters_callback(lambda updates: [_normalised(u) for u in updates])
        node.add_on_set_parameters_callback(self._on_set)

    def load(self) -> Settings:
        """
        Put the values of all parameters in force and return them.

        Raises:
            ConfigError: naming the first bad parameter, its value and the expectation.

        """
        self._changed = False
        self.settings.current = Settings.from_values(self._values())
        return self.settings.current

    def refresh(self) -> None:
        """Put in force what was set since the last call; cheap where nothing was."""
        if self._changed:
            self.load()

    def follow(self, name: str, value: Any) -> None:
        """Set a parameter that cannot be changed now to what has been put in force already."""
        self._exempt = name
        try:
            self._node.set_parameters([rclpy.parameter.Parameter(name, value=value)])
        finally:
            self._exempt = ''
        self.load()

    @property
    def overrides(self) -> dict[str, Any]:
        """Return the values given from outside (file, command line), by name."""
        # rclpy ignores undeclared ones silently; it offers no public way to list them.
        given: dict[str, rclpy.parameter.Parameter] = getattr(
            self._node, '_parameter_overrides', {}
        )
        return {name: parameter.value for name, parameter in given.items()}

    def unknown_names(self) -> list[str]:
        """Return names given from outside that are no parameters."""
        return sorted(
            name
            for name in self.overrides
            if name not in BY_NAME and name.split('.')[0] not in _FOREIGN
        )

    def values(self) -> dict[str, Any]:
        """Return the values of all parameters by name, as plain Python types."""
        return {
            name: value if value is None or isinstance(value, (str, int, float)) else [*value]
            for name, value in self._values().items()
        }

    def _values(self) -> dict[str, Any]:
        return {row.name: self._node.get_parameter(row.name).value for row in TABLE}

    def _on_set(self, updates: list[rclpy.parameter.Parameter]) -> SetParametersResult:
        """Accept or refuse an update as a whole."""
        new = {}
        try:
            for update in updates:
                row = BY_NAME.get(update.name)
                if row is None:
                    continue
                if update.type_ == rclpy.parameter.Parameter.Type.NOT_SET:
                    raise ConfigError(f'{row.name}: got nothing, expected a value')
                row.validate(update.value)
                self._check_unlocked(row, update.value)
                new[row.name] = update.value
            if self.locked:
                Settings.from_values({**self._values(), **new})
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        # The values are stored after this call returns; `refresh` reads them later.
        self._changed = self._changed or bool(new)
        return SetParametersResult(successful=True)

    def _check_unlocked(self, row: Parameter, value: Any) -> None:
        """Raise ConfigError where a value cannot change now."""
        if not self.locked or row.dynamic or row.name == self._exempt:
            return
        if row.validate(value) != row.validate(self._node.get_parameter(row.name).value):
            raise ConfigError(
                f'{row.name}: got {value!r}, expected no change while configured (clean up '
                'the node, set it, configure again)'
            )


_TYPES = {
    'bool': rclpy.parameter.Parameter.Type.BOOL,
    'int': rclpy.parameter.Parameter.Type.INTEGER,
    'double': rclpy.parameter.Parameter.Type.DOUBLE,
    'string': rclpy.parameter.Parameter.Type.STRING,
    'double_array': rclpy.parameter.Parameter.Type.DOUBLE_ARRAY,
    'string_array': rclpy.parameter.Parameter.Type.STRING_ARRAY,
}


def describe(descriptor: ParameterDescriptor) -> ParameterDescriptor:
    """
    Return the descriptor of a parameter as others may see it: with its type and its range.

    They are not in the descriptor that rclpy keeps, because rclpy would act on them: refuse a
    value with less of a reason than the table gives, and end the node where it is in a file. It
    also notes there the type of every value it is asked to set, refused ones included.

    Args:
        descriptor: as declared; returned as it is for a parameter that is not in the table.

    """
    row = BY_NAME.get(descriptor.name)
    if row is None:
        return descriptor
    shown = ParameterDescriptor(
        name=descriptor.name,
        type=descriptor.type,
        description=descriptor.description,
        additional_constraints=descriptor.additional_constraints,
        dynamic_typing=row.kind not in _TYPES,
    )
    if row.kind in _TYPES:
        shown.type = _TYPES[row.kind].value
    if row.minimum is not None and row.maximum is not None:
        if row.kind == 'int':
            shown.integer_range = [
                IntegerRange(from_value=int(row.minimum), to_value=int(row.maximum), step=1)
            ]
        else:
            shown.floating_point_range = [
                FloatingPointRange(from_value=row.minimum, to_value=row.maximum)
            ]
    return shown


def _normalised(given: rclpy.parameter.Parameter) -> rclpy.parameter.Parameter:
    """
    Return a value in the type of its row where it means the same: whole numbers for doubles.

    An empty list is what a file says, and `ros2 param dump` writes, but not what arrives: the
    parser of ROS makes 'not set' of it.
    """
    row = BY_NAME.get(given.name)
    types = rclpy.parameter.Parameter.Type
    if row is None:
        return given
    if row.kind.endswith('_array') and (given.type_ == types.NOT_SET or _is_empty(given.value)):
        return rclpy.parameter.Parameter(given.name, _TYPES[row.kind], [])
    if row.kind in ('double', 'double_or_auto') and given.type_ == types.INTEGER:
        return rclpy.parameter.Parameter(given.name, types.DOUBLE, float(given.value))
    if row.kind == 'double_array' and given.type_ == types.INTEGER_ARRAY:
        return rclpy.parameter.Parameter(
            given.name, types.DOUBLE_ARRAY, [*map(float, given.value)]
        )
    return given


def _is_empty(value: Any) -> bool:
    """Return whether a value is a list without entries, whatever they would be."""
    return hasattr(value, '__len__') and not isinstance(value, str) and not len(value)


def _descriptor(row: Parameter) -> ParameterDescriptor:
    """Return what `ros2 param describe` shows."""
    when = 'can change at any time' if row.dynamic else 'can change while unconfigured'
    unit = f', unit {row.unit}' if row.unit else ''
    limits = row.describe_range().replace('`', "'")
    return ParameterDescriptor(
        name=row.name,
        description=row.description.replace('`', "'"),
        additional_constraints=f'{row.kind}{": " if limits else ""}{limits}{unit}; {when}',
        dynamic_typing=True,
    )
