// Boost.JSON compiled into the plugin with the plugin's own flags and visibility: a libtorch built
// for the old libstdc++ ABI then needs no second Boost, and nothing is shared with the host's copy.
#include <boost/json/src.hpp>
